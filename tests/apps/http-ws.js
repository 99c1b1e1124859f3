'use strict';
const http = require('http');
const { WebSocketServer } = require('ws');

const who = {
	pid: process.pid,
	slot: process.env.LIMPET_SLOT ?? null,
	generation: process.env.LIMPET_GENERATION ?? null,
	pool: process.env.LIMPET_POOL ?? null,
	node: process.version,
};

const server = http.createServer((request, response) => {
	let bytes = 0;
	request.on('data', chunk => { bytes += chunk.length; });
	request.on('end', () => {
		response.setHeader('Content-Type', 'application/json');
		response.end(JSON.stringify({ ...who, url: request.url, bytes, peer: request.socket.remoteAddress }));
	});
});

new WebSocketServer({ server }).on('connection', (socket, request) => {
	socket.on('message', text => {
		socket.send(JSON.stringify({ ...who, url: request.url, echo: String(text) }));
	});
});

if (process.env.GRACEFUL)
	process.on('SIGTERM', () => server.close());
server.listen(process.env.PORT || 0, process.env.HOST);
