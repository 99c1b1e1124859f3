'use strict';
// As the documentation of node:cluster has it.
const cluster = require('cluster');
const http = require('http');

if (cluster.isPrimary) {
	console.log('own-cluster: this is the primary');
	for (let i = 0; i < 2; i++)
		cluster.fork();
	cluster.on('exit', () => process.exit(1));
} else {
	http.createServer((request, response) => {
		response.end(JSON.stringify({
			pid: process.pid,
			slot: process.env.LIMPET_SLOT ?? null,
			worker: cluster.worker.id,
		}));
	}).listen(process.env.PORT || 0, process.env.HOST);
}
