'use strict';
// GET /close closes the server while it answers, GET /again closes it and listens once more on the same port.
const http = require('http');

const port = process.env.PORT || 0;
let opened = 0;
const server = http.createServer((request, response) => {
	const act = request.url.slice(1);
	response.setHeader('Connection', 'close');
	response.end(JSON.stringify({ pid: process.pid, slot: process.env.LIMPET_SLOT ?? null, opened }));
	if (act === 'again')
		server.close(listen);
	else if (act === 'close')
		server.close();
});

function listen() {
	server.listen(port, process.env.HOST, () => { opened++; });
}
listen();
