"""An ASGI application for the runners of the Python package: who it is as JSON, /slow after the file SLOW_UNTIL is there,
and WebSockets that echo."""
import asyncio
import json
import os


def me(scope):
    return {"pid": os.getpid(), "slot": os.environ.get("LIMPET_SLOT"), "client": scope["client"][0], "scheme": scope["scheme"]}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                print("application shut down", flush=True)
                return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": json.dumps({**me(scope), "said": message.get("text")})})
        return
    if scope["path"] == "/slow":
        print("slow request", flush=True)
        while not os.path.exists(os.environ["SLOW_UNTIL"]):
            await asyncio.sleep(0.01)
    body = json.dumps(me(scope)).encode()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
