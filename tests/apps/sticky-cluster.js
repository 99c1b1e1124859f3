'use strict';
// As sticky-cluster's README has it.
const http = require('http');

require('sticky-cluster')(callback => {
	callback(http.createServer((request, response) => {
		let bytes = 0;
		request.on('data', chunk => { bytes += chunk.length; });
		request.on('end', () => {
			response.end(JSON.stringify({ pid: process.pid, slot: process.env.LIMPET_SLOT ?? null, bytes }));
		});
	}));
}, { concurrency: 2, port: Number(process.env.PORT) || 3000 });
