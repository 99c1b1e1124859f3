"""HTTP and WebSocket clients on raw sockets, which do exactly what they are told and keep every byte."""
import base64
import hashlib
import json
import os
import socket
import struct


def connect(address, source=None, timeout=10.0):
    """address: (host, port), (host, port) with a ':' in the host for IPv6, or a Unix path. source: a local IP address."""
    if isinstance(address, (str, os.PathLike)):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        connection.connect(os.fspath(address))
        return connection
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    connection = socket.socket(family)
    connection.settimeout(timeout)
    if source:
        connection.bind((source, 0))
    connection.connect(address)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def request(path="/", method="GET", cookie=None, headers=(), body=b"", close=False):
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    if cookie:
        lines.append(f"Cookie: {cookie}")
    lines += [f"{name}: {value}" for name, value in dict(headers).items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    if close:
        lines.append("Connection: close")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Response:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<Response {self.status} {self.body[:80]!r}>"


class Connection:
    """One connection: send() bytes, read responses or WebSocket frames. Use it with `with`."""

    def __init__(self, address_or_socket, source=None, timeout=10.0):
        if isinstance(address_or_socket, socket.socket):
            self.socket = address_or_socket
            self.socket.settimeout(timeout)
        else:
            self.socket = connect(address_or_socket, source, timeout)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def more(self):
        """Reads once; False at the end of the stream."""
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def read_exactly(self, length):
        while len(self.buffer) < length:
            if not self.more():
                raise ConnectionError(f"ended within {length} bytes: {self.buffer[:80]!r}")
        data, self.buffer = self.buffer[:length], self.buffer[length:]
        return data

    def read_until(self, end):
        while end not in self.buffer:
            if not self.more():
                raise ConnectionError(f"ended before {end!r}: {self.buffer[:200]!r}")
        data, self.buffer = self.buffer.split(end, 1)
        return data

    def read_all(self):
        """Everything up to the end of the stream; a reset counts as an end."""
        try:
            while self.more():
                pass
        except ConnectionResetError:
            pass
        data, self.buffer = self.buffer, b""
        return data

    def ended(self):
        """True if the next thing that comes is the end of the stream or a reset."""
        try:
            return not self.buffer and not self.more()
        except ConnectionResetError:
            return True

    def response(self, head_only=False):
        """The next response: with Content-Length, chunked, or up to the end."""
        head = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(head[0].split()[1])
        headers = {}
        for line in head[1:]:
            name, value = line.split(":", 1)
            headers[name.strip().lower()] = value.strip()
        if head_only or status < 200 or status in (204, 304):
            body = b""
        elif "content-length" in headers:
            body = self.read_exactly(int(headers["content-length"]))
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while True:
                size = int(self.read_until(b"\r\n").split(b";")[0], 16)
                chunk = self.read_exactly(size + 2)[:-2]
                if not size:
                    break
                body += chunk
        else:
            body = self.read_all()
        return Response(status, headers, body)

    def get(self, path="/", **options):
        self.send(request(path, **options))
        return self.response(head_only=options.get("method") == "HEAD")

    def upgrade(self, path="/", cookie=None, headers=()):
        """Opens a WebSocket; returns the response, which is 101 if it worked."""
        key = base64.b64encode(os.urandom(16)).decode()
        fields = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                  "Sec-WebSocket-Key": key, **dict(headers)}
        response = self.get(path, cookie=cookie, headers=fields)
        if response.status == 101:
            digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
            assert response.headers["sec-websocket-accept"] == base64.b64encode(digest).decode()
        return response

    def send_frame(self, payload, opcode=1, masked=True, final=True):
        self.send(frame(payload, opcode, masked, final))

    def read_frame(self):
        """(opcode, payload) of the next frame, which a server sends unmasked."""
        first, second = self.read_exactly(2)
        length = second & 127
        if length == 126:
            length, = struct.unpack(">H", self.read_exactly(2))
        elif length == 127:
            length, = struct.unpack(">Q", self.read_exactly(8))
        assert not second & 128, "a server's frame must not be masked"
        return first & 15, self.read_exactly(length)

    def say(self, text):
        """Sends a text message and returns the answer, read as JSON."""
        self.send_frame(text.encode())
        opcode, payload = self.read_frame()
        assert opcode == 1, (opcode, payload)
        return json.loads(payload)


def frame(payload, opcode=1, masked=True, final=True):
    head = bytes([opcode | (128 if final else 0)])
    mask_bit = 128 if masked else 0
    if len(payload) < 126:
        head += bytes([mask_bit | len(payload)])
    elif len(payload) < 65536:
        head += bytes([mask_bit | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([mask_bit | 127]) + struct.pack(">Q", len(payload))
    if not masked:
        return head + payload
    mask = os.urandom(4)
    repeated = (mask * (len(payload) // 4 + 1))[:len(payload)]
    masked_payload = (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(payload), "big")
    return head + mask + masked_payload


def get(address, path="/", source=None, timeout=10.0, **options):
    """One request on a connection of its own."""
    with Connection(address, source, timeout) as connection:
        return connection.get(path, close=True, **options)
