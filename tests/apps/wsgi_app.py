"""The same small application as WSGI and as ASGI; the command line of a server names one: wsgi_app:wsgi, wsgi_app:asgi."""
import json
import os


def body_for(peer):
    return json.dumps({"pid": os.getpid(), "slot": os.environ.get("LIMPET_SLOT"), "peer": peer}).encode()


def wsgi(environ, start_response):
    socket = environ.get("wsgi.websocket")  # gevent-websocket
    while socket:
        if socket.receive() is None:
            return []
        socket.send(body_for(environ.get("REMOTE_ADDR")).decode())
    body = body_for(environ.get("REMOTE_ADDR"))
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


async def talk(scope, receive, send):
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": body_for(scope["client"][0]).decode()})


async def asgi(scope, receive, send):
    if scope["type"] == "websocket":
        await talk(scope, receive, send)
    if scope["type"] != "http":
        return
    body = body_for(scope["client"][0])
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
