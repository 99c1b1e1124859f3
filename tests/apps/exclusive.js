'use strict';
// One server as usual, and one of each worker's own, whose port the first one tells.
const http = require('http');

const own = http.createServer((request, response) => {
	response.end(JSON.stringify({ pid: process.pid, server: 'own' }));
});
own.listen({ port: 0, host: '127.0.0.1', exclusive: true }, () => {
	http.createServer((request, response) => {
		response.end(JSON.stringify({
			pid: process.pid,
			slot: process.env.LIMPET_SLOT ?? null,
			port: own.address().port,
		}));
	}).listen(process.env.PORT || 0, process.env.HOST);
});
