'use strict';
const fs = require('fs');
const https = require('https');

https.createServer({
	key: fs.readFileSync(process.env.KEY),
	cert: fs.readFileSync(process.env.CERT),
}, (request, response) => {
	response.end(JSON.stringify({
		pid: process.pid,
		slot: process.env.LIMPET_SLOT ?? null,
		reused: request.socket.isSessionReused(),
	}));
}).listen(process.env.PORT || 0, process.env.HOST);
