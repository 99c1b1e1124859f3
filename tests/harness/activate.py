"""As a service manager does it: puts sockets from fd 3 on, says so in the environment, and becomes the program.

    python3 activate.py FD:NAME... -- PROGRAM [ARGUMENT]...
"""
import fcntl
import os
import sys

FIRST = 3


def main():
    end = sys.argv.index("--")
    sockets = [(int(fd), name) for fd, _, name in (argument.partition(":") for argument in sys.argv[1:end])]
    command = sys.argv[end + 1:]
    # Out of the way of the numbers that they are to have.
    above = [fcntl.fcntl(fd, fcntl.F_DUPFD, FIRST + len(sockets) + 1) for fd, _ in sockets]
    for number, fd in enumerate(above):
        os.dup2(fd, FIRST + number)
    os.closerange(FIRST + len(sockets), 1024)
    if sockets:
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(sockets)),
                          LISTEN_FDNAMES=":".join(name for _, name in sockets))
    os.execvp(command[0], command)


main()
