"""python3 socket-options.py PORT [stay]: sets options of a listening socket when it is new, bound and listening, and prints what
they are."""
import os
import signal
import socket
import struct
import sys

TCP, IP = socket.IPPROTO_TCP, socket.IPPROTO_IP
OPTIONS = [(socket.SOL_SOCKET, name, 4) for name in (
    socket.SO_TYPE, socket.SO_DOMAIN, socket.SO_PROTOCOL, socket.SO_ACCEPTCONN, socket.SO_REUSEADDR, socket.SO_KEEPALIVE,
    socket.SO_RCVBUF, socket.SO_SNDBUF)] + [
    (socket.SOL_SOCKET, socket.SO_LINGER, 8), (socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)] + [
    (TCP, name, 4) for name in (socket.TCP_NODELAY, socket.TCP_KEEPIDLE, socket.TCP_DEFER_ACCEPT, socket.TCP_USER_TIMEOUT,
                                socket.TCP_MAXSEG)] + [
    (TCP, socket.TCP_CONGESTION, 16), (IP, socket.IP_TTL, 4), (IP, socket.IP_TOS, 4)]


LINES = []


def show(listening):
    for level, name, length in OPTIONS:
        LINES.append(f"options: {level} {name} {listening.getsockopt(level, name, length).hex()}")


listening = socket.socket()
listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listening.setsockopt(TCP, socket.TCP_NODELAY, 1)
listening.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 5))
listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100000)
listening.bind(("127.0.0.1", int(sys.argv[1])))
show(listening)
listening.setsockopt(TCP, socket.TCP_KEEPIDLE, 77)
listening.setsockopt(IP, socket.IP_TTL, 33)
show(listening)
listening.listen(5)
show(listening)
listening.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 5000)
listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("qq", 0, 1000))
show(listening)
try:
    listening.accept()
except BlockingIOError:
    LINES.append("options: nobody came")
# In one piece, between the lines of others.
os.write(1, "\n".join([*LINES, "options: end", ""]).encode())
if len(sys.argv) > 2:
    signal.pause()
