'use strict';
// One socket.io client: URL, room, transports ("polling", "websocket" or "polling,websocket" with the upgrade), rounds.
// Prints a line of JSON: the answers to `rounds` questions, whether 300 kB came back whole, and the last transport.
const { createRequire } = require('module');
const load = createRequire(require('path').join(__dirname, '..', 'apps', 'package.json'));
const { io } = load('socket.io-client');

const [url, room, transports, rounds] = process.argv.slice(2);
const fail = reason => {
	console.log(JSON.stringify({ error: String(reason) }));
	process.exit(1);
};
setTimeout(fail, 30000, 'timeout').unref();

const socket = io(url, {
	query: { room },
	extraHeaders: { 'X-Room': room },
	transports: transports.split(','),
	reconnection: false,
	forceNew: true,
});
socket.on('connect_error', fail);
socket.on('disconnect', reason => reason === 'io client disconnect' || fail(reason));
socket.on('connect', async () => {
	if (transports.includes(','))
		while (socket.io.engine.transport.name !== 'websocket')
			await new Promise(resolve => socket.io.engine.once('upgrade', resolve));
	const answers = [];
	for (let i = 0; i < rounds; i++)
		answers.push(await socket.timeout(10000).emitWithAck('who').catch(fail));
	const payload = 'ü\n'.repeat(100000);
	const echo = await socket.timeout(10000).emitWithAck('echo', payload).catch(fail);
	console.log(JSON.stringify({ answers, whole: echo === payload, transport: socket.io.engine.transport.name }));
	// The process ends when the engine has told the server: a client that is killed before stays there for 45 s.
	socket.disconnect();
});
