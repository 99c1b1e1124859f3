// node plain-node.js PORT [cluster]: HTTP and WebSockets; with cluster it is a primary with two workers of its own.
'use strict';
const cluster = require('cluster');
const http = require('http');
const { WebSocketServer } = require('ws');

const who = request => JSON.stringify({
	pid: process.pid, slot: process.env.LIMPET_SLOT, peer: request.socket.remoteAddress.replace('::ffff:', ''),
});

if (process.argv[3] === 'cluster' && cluster.isPrimary) {
	cluster.fork();
	cluster.fork();
	process.on('SIGTERM', () => process.exit(0));
} else {
	const server = http.createServer((request, response) => response.end(who(request)));

	new WebSocketServer({ server }).on('connection', (socket, request) => {
		socket.on('message', () => socket.send(who(request)));
	});
	server.listen(Number(process.argv[2]));
}
