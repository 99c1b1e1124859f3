'use strict';
// What both socket.io servers do with a client.
module.exports = io => {
	io.on('connection', socket => {
		socket.on('who', answer => answer({
			pid: process.pid,
			slot: process.env.LIMPET_SLOT ?? null,
			transport: socket.conn.transport.name,
			room: socket.handshake.query.room,
		}));
		socket.on('echo', (payload, answer) => answer(payload));
	});
};
