import json, os, socket, threading

front = socket.socket(fileno=int(os.environ["LIMPET_FD"]))
slot = os.environ["LIMPET_SLOT"].encode()

def tell(**message):
    front.send(json.dumps(message).encode())

def serve(client):
    with client:
        client.recv(65536)
        client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nslot %s\n" % slot)

tell(type="hello", version=1)
tell(type="ready")
message = {"type": "none"}
while message["type"] != "drain":
    data, fds, flags, address = socket.recv_fds(front, 8192, 1)
    message = json.loads(data or '{"type": "drain"}')
    if message["type"] == "connection" and fds:
        tell(type="ack", id=message["id"])
        threading.Thread(target=serve, args=[socket.socket(fileno=fds[0])]).start()
    elif message["type"] == "connection":
        tell(type="refuse", id=message["id"])
    elif message["type"] == "ping":
        tell(type="pong", id=message["id"])
