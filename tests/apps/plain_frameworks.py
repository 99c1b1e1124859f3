"""python3 plain_frameworks.py NAME PORT: servers that are started from Python code. NAME: the table at the end."""
import http.server
import os
import sys

from wsgi_app import body_for


def use_aiohttp(port):
    from aiohttp import web

    async def answer(request):
        return web.Response(body=body_for(request.remote))

    async def talk(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for _ in socket:
            await socket.send_str(body_for(request.remote).decode())
        return socket

    app = web.Application()
    app.router.add_get("/", answer)
    app.router.add_get("/ws", talk)
    web.run_app(app, host="127.0.0.1", port=port, print=None)


def use_tornado(port, processes=1):
    import tornado.httpserver
    import tornado.ioloop
    import tornado.web
    import tornado.websocket

    class Answer(tornado.web.RequestHandler):
        def get(self):
            self.write(body_for(self.request.remote_ip))

    class Talk(tornado.websocket.WebSocketHandler):
        def on_message(self, _):
            self.write_message(body_for(self.request.remote_ip))

    server = tornado.httpserver.HTTPServer(tornado.web.Application([("/", Answer), ("/ws", Talk)]))
    server.bind(port, "127.0.0.1")
    server.start(processes)
    tornado.ioloop.IOLoop.current().start()


def use_http_server(port):
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = body_for(self.client_address[0])
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    http.server.ThreadingHTTPServer(("127.0.0.1", port), Answer).serve_forever()


def use_wsgiref(port):
    import wsgiref.simple_server

    import wsgi_app
    wsgiref.simple_server.make_server("127.0.0.1", port, wsgi_app.wsgi).serve_forever()


def use_twisted(port):
    from autobahn.twisted.resource import WebSocketResource
    from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
    from twisted.internet import reactor
    from twisted.web.resource import Resource
    from twisted.web.server import Site

    class Answer(Resource):
        def render_GET(self, request):
            return body_for(request.getClientAddress().host)

    class Talk(WebSocketServerProtocol):
        def onMessage(self, payload, isBinary):
            self.sendMessage(body_for(None))

    factory = WebSocketServerFactory()
    factory.protocol = Talk
    root = Resource()
    root.putChild(b"", Answer())
    root.putChild(b"ws", WebSocketResource(factory))
    reactor.listenTCP(port, Site(root), interface="127.0.0.1")
    reactor.run()


def use_gevent(port):
    from gevent import monkey
    monkey.patch_all()
    from gevent.pywsgi import WSGIServer
    from geventwebsocket.handler import WebSocketHandler

    import wsgi_app
    WSGIServer(("127.0.0.1", port), wsgi_app.wsgi, handler_class=WebSocketHandler, log=None).serve_forever()


os.environ.setdefault("PYTHONUNBUFFERED", "1")
{"aiohttp": use_aiohttp, "tornado": use_tornado, "tornado-fork": lambda port: use_tornado(port, 2), "gevent": use_gevent,
 "twisted": use_twisted, "wsgiref": use_wsgiref, "http.server": use_http_server}[sys.argv[1]](int(sys.argv[2]))
