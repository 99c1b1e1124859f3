"""A server that knows nothing of limpet, made of plain system calls: python3 plain.py ADDRESS... ([HOST]:PORT or HOST:PORT).

MODE       blocking (a thread a listening socket), select (non-blocking) or edge (epoll, edge-triggered), early (the same, but
           registered before bind)
PREFORK    so many processes; FORK_AT=bind forks before listen(), EXEC=1 executes itself anew with the bound sockets
FILES      the limit of open files, set when it listens
V6ONLY     IPV6_V6ONLY of IPv6 sockets
CLOSE_AT   when it gets SIGUSR1 it closes the listening socket with this number

It answers every request with what it sees, in JSON. /hold keeps the connection, and answers each further line with the pid.
"""
import errno
import fcntl
import json
import os
import resource
import select
import signal
import socket
import sys
import threading
import time

MODE = os.environ.get("MODE", "blocking")
EARLY = select.epoll()


def text(address):
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"


def bound(address):
    host, port = address.rsplit(":", 1)
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6 and "V6ONLY" in os.environ:
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(os.environ["V6ONLY"]))
    if MODE == "early":
        listening.setblocking(False)
        EARLY.register(listening, select.EPOLLIN | select.EPOLLET)
    try:
        listening.bind((host.strip("[]"), int(port)))
    except OSError as error:
        print(f"plain: bind {address}: {errno.errorcode[error.errno]}", flush=True)
        sys.exit(3)
    return listening


def answer(connection, listening, peer):
    with connection:
        head = b""
        while b"\r\n\r\n" not in head:
            more = connection.recv(65536)
            if not more:
                return
            head += more
        path = head.split()[1].decode()
        body = json.dumps({
            "pid": os.getpid(), "slot": os.environ.get("LIMPET_SLOT"), "path": path,
            "listening": text(listening.getsockname()), "local": text(connection.getsockname()),
            "peer": text(peer), "peername": text(connection.getpeername()),
            "blocking": not fcntl.fcntl(connection, fcntl.F_GETFL) & os.O_NONBLOCK,
            "accepts": listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN),
            "type": listening.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM,
            "protocol": listening.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) == socket.IPPROTO_TCP,
        }).encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        if path == "/hold":
            while connection.recv(65536):
                connection.sendall(b"%d\n" % os.getpid())


def take(listening):
    """One connection into a thread; False if there was none."""
    try:
        connection, peer = listening.accept()
    except BlockingIOError:
        if MODE == "blocking":
            print("plain: accept() did not block", flush=True)
            os._exit(4)
        return False
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ECONNABORTED):
            return None
        time.sleep(0.001)
        return True
    connection.setblocking(True)
    threading.Thread(target=answer, args=(connection, listening, peer), daemon=True).start()
    return True


def serve_blocking(sockets):
    def loop(listening):
        while take(listening) is not None:
            pass
    threads = [threading.Thread(target=loop, args=(listening,), daemon=True) for listening in sockets]
    for thread in threads:
        thread.start()
    while True:
        signal.pause()


def serve_select(sockets):
    for listening in sockets:
        listening.setblocking(False)
    while True:
        for listening in select.select(sockets, [], [])[0]:
            take(listening)


def serve_edge(sockets):
    poll = EARLY
    by_number = {}
    for listening in sockets:
        listening.setblocking(False)
        by_number[listening.fileno()] = listening
        if MODE == "edge":
            poll.register(listening, select.EPOLLIN | select.EPOLLET)
    while True:
        for number, _ in poll.poll():
            while take(by_number[number]):
                pass


def main():
    if "SOCKETS" in os.environ:
        sockets = [socket.socket(fileno=int(number)) for number in os.environ["SOCKETS"].split(",")]
    else:
        sockets = [bound(address) for address in sys.argv[1:]]
    children = int(os.environ.pop("PREFORK", 0))
    if os.environ.get("EXEC"):
        del os.environ["EXEC"]
        os.environ["SOCKETS"] = ",".join(str(listening.fileno()) for listening in sockets)
        for listening in sockets:
            listening.set_inheritable(True)
        if children:
            os.environ["PREFORK"] = str(children)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    listens_first = os.environ.get("FORK_AT") != "bind"
    if listens_first:
        for listening in sockets:
            listening.listen(128)
    if children:
        pids = []
        for _ in range(children):
            pid = os.fork()
            if not pid:
                break
            pids.append(pid)
        else:
            signal.signal(signal.SIGTERM, lambda *_: [os.kill(pid, signal.SIGTERM) for pid in pids])
            for pid in pids:
                os.waitpid(pid, 0)
            return
    if not listens_first:
        for listening in sockets:
            listening.listen(128)
    if "FILES" in os.environ:
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(os.environ["FILES"]),) * 2)
    if "CLOSE_AT" in os.environ:
        signal.signal(signal.SIGUSR1, lambda *_: sockets[int(os.environ["CLOSE_AT"])].close())
    {"blocking": serve_blocking, "select": serve_select, "edge": serve_edge, "early": serve_edge}[MODE](sockets)


main()
