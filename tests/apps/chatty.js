'use strict';
// Sends its parent whatever process.send() takes, once at the start and again with every request, and counts what comes back.
const http = require('http');
const net = require('net');

let sent = 0, failed = 0;
const received = [];
process.on('message', message => received.push(message));

function send(message, handle, then) {
	process.send(message, handle, error => {
		error ? failed++ : sent++;
		then?.();
	});
}

function chat() {
	for (const message of ['text', 7, true, null, [], {}, { deep: [{ er: 1 }] }, 'line\nbreaks\r\n', '\u2028 \ud83d\ude00',
		'x'.repeat(1e6), { type: 'close' }, { type: 'sticky:connection', data: 'sid' }, 'sticky:balance',
		{ cmd: 'NODE_' }, { cmd: 'NODE_CLUSTER' }, { cmd: 'NODE_CLUSTER', act: 'queryServer' },
		{ cmd: 'NODE_CLUSTER', act: 'listening', address: {}, port: -1, addressType: [] },
		{ cmd: 'NODE_CLUSTER', act: 'close', key: 'no such key' }, { cmd: 'NODE_CLUSTER', ack: 999999, accepted: true },
		{ cmd: 'NODE_CLUSTER', act: 'no such act', seq: 1e300 }, { cmd: 'cluster' }, { act: 'online' }])
		send(message);
}

// A listening server and a connected socket as handles: each waits for its acknowledgement. Both ends of the connection are this
// process's own, and what is not sent before the channel ends is never closed: they must not keep it from ending.
function sendHandles() {
	const server = net.createServer(socket => socket.unref()).listen({ port: 0, host: '127.0.0.1', exclusive: true }, () => {
		const socket = net.connect(server.address().port, '127.0.0.1', () => {
			// Node never recovers if a handle is closed before it was written.
			send({ handle: 'server' }, server, () => server.close());
			send({ handle: 'socket' }, socket);
		});
		socket.on('error', () => {});
		socket.unref();
	});
}

chat();
sendHandles();
http.createServer((request, response) => {
	if (request.url === '/chat') {
		chat();
		sendHandles();
	}
	response.end(JSON.stringify({ pid: process.pid, slot: process.env.LIMPET_SLOT ?? null, sent, failed, received }));
}).listen(process.env.PORT || 0, process.env.HOST);
