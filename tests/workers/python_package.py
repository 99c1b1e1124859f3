"""Workers made with the Python package: python_package.py blocking|iterate|asyncio|uvloop|tls [LIMIT]. They answer one request
as JSON and echo what comes after it, line by line. LIMIT is a limit of open files."""
import asyncio
import json
import os
import resource
import ssl
import sys
import threading

import limpet
import limpet.asyncio

STATS = json.loads(os.environ.get("STATS", "{}"))


def answer(address, details):
    body = json.dumps({"pid": os.getpid(), "slot": os.environ.get("LIMPET_SLOT"), "address": address,
                       "client": details.client, "listener": details.listener, "key": details.key}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def converse(connection, address):
    with connection, connection.makefile("rb") as lines:
        while lines.readline() not in (b"\r\n", b""):
            pass
        connection.sendall(answer(address, connection.limpet))
        for line in lines:
            connection.sendall(line)


def blocking(threads=3):
    """Several threads in accept() at once."""
    listener = limpet.Listener()

    def run():
        while True:
            try:
                connection, address = listener.accept()
            except limpet.Drained:
                return
            threading.Thread(target=converse, args=[connection, address]).start()
    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    listener.close()
    print("drained", flush=True)


def iterate():
    with limpet.Listener() as listener:
        listener.stats(**STATS)
        for connection, address in listener:
            threading.Thread(target=converse, args=[connection, address]).start()


async def asynchronous(context=None):
    async def handler(reader, writer):
        while await reader.readline() not in (b"\r\n", b""):
            pass
        details = server.details(writer.transport)
        writer.write(answer(details.address, details))
        while line := await reader.readline():
            writer.write(line)
        writer.close()
    server = await limpet.asyncio.start_server(handler, ssl=context)
    server.stats(**STATS)
    await server.serve_forever()
    print("drained", flush=True)


def main():
    mode, *limit = sys.argv[1:]
    if limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(limit[0]), int(limit[0])))
    if mode == "blocking":
        blocking()
    elif mode == "iterate":
        iterate()
    elif mode == "tls":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(os.environ["CERT"], os.environ["KEY"])
        asyncio.run(asynchronous(context))
    else:
        if mode == "uvloop":
            import uvloop
            uvloop.install()
        asyncio.run(asynchronous())


main()
