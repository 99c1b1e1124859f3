'use strict';
// Two ports on any address, one on all IPv4 addresses, one on IPv6 (both families), one path: NAMES may choose some.
const http = require('http');

const listens = {
	first: { port: 0, host: '127.0.0.1' },
	second: { port: 0, host: '127.0.0.1' },
	all4: { port: 0, host: '0.0.0.0' },
	all6: { port: 0, host: '::' },
	path: { path: process.env.SOCKET },
};

for (const name of (process.env.NAMES || 'first,second,all4,all6,path').split(',')) {
	const server = http.createServer((request, response) => {
		response.end(JSON.stringify({ pid: process.pid, slot: process.env.LIMPET_SLOT ?? null, server: name }));
	});
	server.listen(listens[name], () => {
		const address = server.address();
		console.log('several-servers: %s %s', name, typeof address === 'string' ? address : address.port);
	});
}
