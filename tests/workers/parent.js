'use strict';
// A Node.js process that takes its connections through limpet-join, answers as workers/journal.js does, and says besides what it
// was told of the connection.
const { spawn } = require('child_process');
const fs = require('fs');
const http = require('http');
const path = require('path');

const journal = fs.openSync(path.join(process.env.FAULT_DIR, 'journal'), 'a');
const join = spawn('limpet-join', ['--channel-fd', '3'], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
let served = 0;

const server = http.createServer((request, response) => {
	const number = Number(request.url.slice(1));
	const { listener, client, key } = request.socket.limpet;
	fs.writeSync(journal, `${number} 0 1 ${process.pid}\n`);
	response.setHeader('Connection', 'close');
	response.end(JSON.stringify({ number, slot: '0', pid: process.pid, listener, client, key }));
	served++;
	join.send({ type: 'limpet:stats', values: { served } });
});

join.on('message', (message, socket) => {
	if (message.type === 'limpet:ping') {
		join.send({ type: 'limpet:pong', id: message.id });
		join.send({ type: 'limpet:stats', values: { served } });
	} else if (message.type === 'limpet:connection' && socket) {
		socket.limpet = message;
		server.emit('connection', socket);
	} else if (message.type === 'limpet:drain') {
		process.exit(0);
	}
});
