'use strict';
// As sticky-session's README has it.
const http = require('http');
const sticky = require('sticky-session');

const server = http.createServer((request, response) => {
	let bytes = 0;
	request.on('data', chunk => { bytes += chunk.length; });
	request.on('end', () => {
		response.end(JSON.stringify({ pid: process.pid, slot: process.env.LIMPET_SLOT ?? null, bytes }));
	});
});

if (!sticky.listen(server, Number(process.env.PORT) || 3000))
	server.once('listening', () => console.log('server started'));
