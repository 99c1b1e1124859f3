'use strict';
const http = require('http');
const socketClusterServer = require('socketcluster-server');

const server = http.createServer();
const scServer = socketClusterServer.attach(server);

(async () => {
	for await (const { socket } of scServer.listener('connection')) {
		(async () => {
			for await (const request of socket.procedure('who'))
				request.end({ pid: process.pid, slot: process.env.LIMPET_SLOT ?? null, echo: request.data });
		})();
	}
})();

server.listen(process.env.PORT || 0, process.env.HOST);
