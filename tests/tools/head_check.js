// What node's http.Server sees in request heads: node head_check.js QUERY-NAME... <HEADS
//
// Standard input: heads, each behind its length (4 bytes, the highest first). Each is sent on a connection of its own,
// which is then closed for writing. One line of JSON a head: result is 200 (the application gets a request), 400, 431, or
// 0 (the server waits for more); code is the parser's error; then url, headers as sent, the joined cookie field, and
// the named query parameters.
'use strict';
const http = require('http');
const net = require('net');

const names = process.argv.slice(2);
let report = null; // of the head that is under way
const reports = new Map(); // by connection: a later event of an earlier head must not count for the next one

function tell(socket, answer) {
	const to = reports.get(socket);
	reports.delete(socket);
	if (to)
		to(answer);
}

function onRequest(request) {
	const text = request.url.split('#')[0];
	const at = text.indexOf('?');
	const parameters = new URLSearchParams(at < 0 ? '' : text.slice(at + 1));
	tell(request.socket, {
		result: 200, url: request.url, fields: request.rawHeaders, cookie: request.headers.cookie ?? '',
		query: Object.fromEntries(names.map((name) => [name, parameters.get(name)])),
	});
	request.socket.destroy();
}

// Host is the server's concern, not the parser's: heads without one shall tell of something else.
const server = http.createServer({requireHostHeader: false});
for (const name of ['request', 'connect', 'upgrade', 'checkContinue', 'checkExpectation'])
	server.on(name, onRequest);
server.on('clientError', (error, socket) => {
	// The end of the connection within a head.
	const waits = error.code === 'HPE_INVALID_EOF_STATE' || error.code === 'ECONNRESET';
	const result = waits ? 0 : error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400;
	tell(socket, {result, code: error.code});
	socket.destroy();
});
server.on('connection', (socket) => {
	reports.set(socket, report);
	socket.on('close', () => tell(socket, {result: 0, code: 'closed'}));
});

function ask(head) {
	return new Promise((resolve) => {
		report = resolve;
		const client = net.connect(server.address().port, '127.0.0.1');
		client.on('error', () => {});
		client.resume();
		client.end(head);
	});
}

async function main() {
	const chunks = [];
	for await (const chunk of process.stdin)
		chunks.push(chunk);
	let input = Buffer.concat(chunks);
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	while (input.length) {
		const end = 4 + input.readUInt32BE(0);
		console.log(JSON.stringify(await ask(input.subarray(4, end))));
		input = input.subarray(end);
	}
	server.close();
	server.closeAllConnections();
}

main();
