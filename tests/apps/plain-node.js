// node plain-node.js PORT [cluster]: answers with pid, slot and peer; with cluster it is a primary with two workers of its own.
'use strict';
const cluster = require('cluster');
const http = require('http');

if (process.argv[3] === 'cluster' && cluster.isPrimary) {
	cluster.fork();
	cluster.fork();
	process.on('SIGTERM', () => process.exit(0));
} else {
	http.createServer((request, response) => {
		response.end(JSON.stringify({
			pid: process.pid, slot: process.env.LIMPET_SLOT, peer: request.socket.remoteAddress.replace('::ffff:', ''),
		}));
	}).listen(Number(process.argv[2]));
}
