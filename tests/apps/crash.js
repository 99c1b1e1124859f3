'use strict';
// GET /exit, /throw, /abort, /hang: dies, or stops to respond, in that way. AT_START: already at the start, in that way.
const http = require('http');

const deaths = {
	exit: () => process.exit(3),
	throw: () => { throw new Error('as asked for'); },
	abort: () => process.kill(process.pid, 'SIGKILL'),
	hang: () => { for (;;); },
};

if (process.env.AT_START)
	deaths[process.env.AT_START]();

http.createServer((request, response) => {
	const death = deaths[request.url.slice(1)];
	if (death)
		death();
	response.end(JSON.stringify({ pid: process.pid, slot: process.env.LIMPET_SLOT ?? null }));
}).listen(process.env.PORT || 0, process.env.HOST);
