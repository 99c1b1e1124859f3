'use strict';
// The recipe that tutorials have spread: a primary that listens with pauseOnConnect and sends each connection to the worker
// that the address's digits select. Only the worker's branch runs behind limpet.
const cluster = require('cluster');
const express = require('express');
const net = require('net');

if (cluster.isMaster) {
	const workers = [cluster.fork(), cluster.fork()];
	net.createServer({ pauseOnConnect: true }, connection => {
		const digits = Number(connection.remoteAddress.replace(/\D/g, ''));
		workers[digits % workers.length].send('sticky-session:connection', connection);
	}).listen(process.env.PORT || 3000);
} else {
	const app = express();
	app.use((request, response) => {
		let bytes = 0;
		request.on('data', chunk => { bytes += chunk.length; });
		request.on('end', () => {
			response.json({ pid: process.pid, slot: process.env.LIMPET_SLOT ?? null, bytes });
		});
	});
	const server = app.listen(0, 'localhost');

	process.on('message', (message, connection) => {
		if (message !== 'sticky-session:connection')
			return;
		server.emit('connection', connection);
		connection.resume();
	});
}
