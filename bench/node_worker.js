'use strict';
// The worker of the benchmarks, in Node.js: answers every HTTP request with its process id, and echoes WebSocket messages.
// How it gets its connections is the argument:
//
//   listen         an ordinary server, that of a user who knows nothing of limpet; PORT and HOST
//   reuseport      one of several that listen on the same port, without a front
//   cluster        under node:cluster's own primary, which this script is, too
//   sticky-session and socket.io   as the README of each module says
const cluster = require('cluster');
const http = require('http');

const mode = process.argv[2];
const port = Number(process.env.PORT || 0);
const host = process.env.HOST || '127.0.0.1';
const workers = Number(process.env.WORKERS || 2);

function makeServer() {
	const { WebSocketServer } = require('ws');
	const body = String(process.pid).padStart(7, '0') + '\n';
	const headers = { 'Content-Type': 'text/plain', 'Content-Length': 8 };
	const server = http.createServer((request, response) => {
		response.writeHead(200, headers);
		response.end(body);
	});
	const sockets = new WebSocketServer({ server, perMessageDeflate: false });
	sockets.on('connection', (socket) => {
		socket.on('message', (data, binary) => socket.send(data, { binary }));
		socket.on('error', () => {});
	});
	server.keepAliveTimeout = 60000;
	return server;
}

function forkAll() {
	for (let i = 0; i < workers; i++)
		cluster.fork();
}

const modes = {
	listen() {
		makeServer().listen(port, host);
	},
	reuseport() {
		makeServer().listen({ port, host, reusePort: true, backlog: 4096 });
	},
	cluster() {
		if (cluster.isPrimary)
			forkAll();
		else
			makeServer().listen({ port, host, backlog: 4096 });
	},
	'sticky-session'() {
		const sticky = require('sticky-session');
		// The module passes its arguments on to listen() in the primary.
		sticky.listen(makeServer(), port, { workers });
	},
	'socket.io'() {
		const { setupMaster, setupWorker } = require('@socket.io/sticky');
		if (cluster.isPrimary) {
			const server = http.createServer();
			setupMaster(server, { loadBalancingMethod: 'round-robin' });
			server.listen({ port, host, backlog: 4096 });
			cluster.setupPrimary({ serialization: 'advanced' });
			forkAll();
		} else {
			const { Server } = require('socket.io');
			const server = makeServer();
			setupWorker(new Server(server, { path: '/socket.io/' }));
		}
	},
};

modes[mode]();
