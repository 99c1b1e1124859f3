"""The preloaded library of protocol accept and the memory in which it notes what it has taken: the test is the front."""
import mmap
import os
import secrets
import socket
import struct
import subprocess

import pytest

from harness import paths

LIBRARY = paths.build() / "src" / "worker" / "accept" / "liblimpet-accept.so"
PROGRAM = """
import socket
listening = socket.socket()
listening.bind(("127.0.0.1", 0))
listening.listen(16)
while True:
    connection, _ = listening.accept()
    connection.sendall(b"taken")
"""
MESSAGE = struct.Struct("=IIiIII28s")  # type, number, value, flags, process, address_length, address
OPEN, BIND, LISTEN, LISTENING, TAKEN, _, ANSWER, CONNECTION, _, _, MEMORY = range(1, 12)
NOTED = 0x80000000
QUIET = struct.pack("=I", 1)


class Front:
    def __init__(self):
        name = secrets.token_bytes(8)
        self.control, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.bind(b"\0" + name)
        self.control.settimeout(10)
        self.memories = {}
        self.program = subprocess.Popen(["/usr/bin/python3", "-S", "-E", "-c", PROGRAM], pass_fds=[far.fileno()],
                                        env={"LD_PRELOAD": str(LIBRARY), "LIMPET_ACCEPT": f"{far.fileno()}:{name.hex()}"})
        far.close()
        self.data = self.control
        _, fds = self.hear(OPEN)
        self.data = socket.socket(fileno=fds[0])
        self.data.settimeout(10)
        bind, fds = self.hear(BIND)
        os.close(fds[0])
        self.tell(ANSWER, address_length=16, address=bind[6])

    def hear(self, kind):
        bytes_, fds, _, _ = socket.recv_fds(self.data, MESSAGE.size, 1)
        message = MESSAGE.unpack(bytes_)
        assert message[0] == kind, message
        return message, fds

    def tell(self, kind, number=0, value=0, process=0, address_length=0, address=b"", fd=None):
        message = MESSAGE.pack(kind, number, value, 0, process, address_length, address)
        socket.send_fds(self.data, [message], [] if fd is None else [fd])

    def tell_memory(self, name):
        fd = os.memfd_create("limpet-taken")
        os.ftruncate(fd, 4096)
        self.memories[name] = mmap.mmap(fd, 4096)
        self.memories[name][:4] = QUIET
        self.tell(MEMORY, process=name, fd=fd)
        os.close(fd)

    def give(self, number, name):
        """A connection; returns what is in its cell when the program has it."""
        mine, theirs = socket.socketpair()
        with mine, theirs:
            self.tell(CONNECTION, number, number, name, fd=theirs.fileno())
            theirs.close()
            mine.settimeout(10)
            assert mine.recv(5) == b"taken"
        return struct.unpack_from("=I", self.memories[name], 4 + 4 * number)[0]

    def says_nothing(self):
        self.data.setblocking(False)
        with pytest.raises(BlockingIOError):
            self.data.recv(1)
        self.data.settimeout(10)


@pytest.fixture
def front():
    one = Front()
    yield one
    one.program.kill()
    one.program.wait()


def test_memory_while_the_program_waits_for_an_answer(front):
    """Another process that has the socket got it, and listens."""
    front.hear(LISTEN)
    front.tell_memory(7)
    front.hear(LISTENING)
    assert front.give(5, 7) == 5 | NOTED
    front.says_nothing()


def test_memory_of_many_routers(front):
    front.hear(LISTEN)
    front.tell(ANSWER)
    front.hear(LISTENING)
    for name in range(1, 41):
        front.tell_memory(name)
        assert front.give(name, name) == name | NOTED
        front.says_nothing()
    # Of those that are long gone it knows nothing any more.
    assert front.give(50, 1) == 0
    assert front.hear(TAKEN)[0][1] == 50
    assert front.give(51, 40) == 51 | NOTED
    front.says_nothing()
