'use strict';
// Speaks first if GREETING is set; then sends back every byte as it came, and ends when the client does.
const net = require('net');

net.createServer({ allowHalfOpen: true }, socket => {
	socket.on('error', () => {});
	if (process.env.GREETING)
		socket.write(process.env.GREETING);
	socket.pipe(socket);
}).listen(process.env.PORT || 0, process.env.HOST);
