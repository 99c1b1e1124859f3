'use strict';
// An ordinary Node.js server that answers as workers/scripted.py does, and keeps the same journal.
const fs = require('fs');
const http = require('http');
const path = require('path');

const who = {
	slot: process.env.LIMPET_SLOT,
	generation: Number(process.env.LIMPET_GENERATION),
	pid: process.pid,
};
const journal = fs.openSync(path.join(process.env.FAULT_DIR, 'journal'), 'a');

function note(number) {
	fs.writeSync(journal, `${number} ${who.slot} ${who.generation} ${who.pid}\n`);
	return JSON.stringify({ number, ...who });
}

http.createServer((request, response) => {
	const pin = request.url.match(/^\/pin\/(\d+)/);
	if (!pin) {
		response.setHeader('Connection', 'close');
		response.end(note(Number(request.url.slice(1))));
		return;
	}
	// The rest of this connection is an echo, outside HTTP.
	const body = note(Number(pin[1]));
	const socket = request.socket;
	socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
	socket.removeAllListeners('data');
	socket.unpipe();
	socket.on('data', chunk => { socket.write(chunk); });
	socket.on('error', () => {});
	socket.resume();
}).listen(0, '127.0.0.1');
