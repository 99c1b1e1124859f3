"""python3 plain_frameworks.py aiohttp|tornado|tornado-fork|http.server PORT: servers that are started from Python code."""
import http.server
import os
import sys

from wsgi_app import body_for


def use_aiohttp(port):
    from aiohttp import web

    async def answer(request):
        return web.Response(body=body_for(request.remote))

    app = web.Application()
    app.router.add_get("/", answer)
    web.run_app(app, host="127.0.0.1", port=port, print=None)


def use_tornado(port, processes=1):
    import tornado.httpserver
    import tornado.ioloop
    import tornado.web

    class Answer(tornado.web.RequestHandler):
        def get(self):
            self.write(body_for(self.request.remote_ip))

    server = tornado.httpserver.HTTPServer(tornado.web.Application([("/", Answer)]))
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


os.environ.setdefault("PYTHONUNBUFFERED", "1")
{"aiohttp": use_aiohttp, "tornado": use_tornado, "tornado-fork": lambda port: use_tornado(port, 2),
 "http.server": use_http_server}[sys.argv[1]](int(sys.argv[2]))
