'use strict';
// GET /worker: cluster.worker.disconnect(); GET /process: process.disconnect(); GET /kill: cluster.worker.kill().
const cluster = require('cluster');
const http = require('http');

http.createServer((request, response) => {
	response.setHeader('Connection', 'close');
	response.end(JSON.stringify({ pid: process.pid, slot: process.env.LIMPET_SLOT ?? null }));
	const acts = {
		'/worker': () => cluster.worker.disconnect(),
		'/process': () => process.disconnect(),
		'/kill': () => cluster.worker.kill(),
	};
	if (acts[request.url])
		response.on('finish', acts[request.url]);
}).listen(process.env.PORT || 0, process.env.HOST);
