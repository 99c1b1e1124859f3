'use strict';
// A UDP socket that the workers share, beside an http server that tells its port.
const dgram = require('dgram');
const http = require('http');

const udp = dgram.createSocket('udp4');
let failure = null;
udp.on('error', error => { failure = error.code; });
udp.on('message', (message, peer) => {
	udp.send(JSON.stringify({ pid: process.pid, slot: process.env.LIMPET_SLOT ?? null, echo: String(message) }),
		peer.port, peer.address);
});
udp.bind(Number(process.env.UDP_PORT) || 0, '127.0.0.1');

http.createServer((request, response) => {
	let port = null;
	try {
		port = udp.address().port;
	} catch (error) {
		failure = failure || error.code;
	}
	response.end(JSON.stringify({ pid: process.pid, slot: process.env.LIMPET_SLOT ?? null, port, failure }));
}).listen(process.env.PORT || 0, process.env.HOST);
