'use strict';
// Listens on an inherited fd, which only makes sense under a service manager; falls back to a port if that fails.
const http = require('http');

let failure = null;
const handler = (request, response) => {
	response.end(JSON.stringify({ pid: process.pid, slot: process.env.LIMPET_SLOT ?? null, failure }));
};

http.createServer(handler)
	.on('error', error => {
		failure = error.code;
		http.createServer(handler).listen(process.env.PORT || 0, process.env.HOST);
	})
	.listen({ fd: Number(process.env.LISTEN_FD || 3) });
