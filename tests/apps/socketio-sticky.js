'use strict';
// As @socket.io/sticky's README has it. STICKY: sticky1 or sticky2, the two major versions.
const cluster = require('cluster');
const http = require('http');
const { Server } = require('socket.io');
const { setupMaster, setupWorker } = require(process.env.STICKY || 'sticky2');

if (cluster.isMaster) {
	const server = http.createServer();
	setupMaster(server, { loadBalancingMethod: 'least-connection' });
	server.listen(process.env.PORT || 3000);
	for (let i = 0; i < 2; i++)
		cluster.fork();
	cluster.on('exit', () => cluster.fork());
} else {
	const server = http.createServer();
	const io = new Server(server, { maxHttpBufferSize: 1e7 });
	setupWorker(io);
	require('./socketio-handlers')(io);
}
