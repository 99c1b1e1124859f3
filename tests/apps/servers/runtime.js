// bun runtime.js PORT; deno run -A runtime.js PORT
'use strict';
const isDeno = 'Deno' in globalThis;
const port = Number(isDeno ? Deno.args[0] : process.argv[2]);
const pid = isDeno ? Deno.pid : process.pid;
const slot = isDeno ? Deno.env.get('LIMPET_SLOT') : process.env.LIMPET_SLOT;
const who = peer => JSON.stringify({ pid, slot, peer });

if (isDeno) {
	Deno.serve({ port, hostname: '127.0.0.1', onListen: () => {} }, (request, info) => {
		if (request.headers.get('upgrade') !== 'websocket')
			return new Response(who(info.remoteAddr.hostname));
		const peer = info.remoteAddr.hostname; // not to be had any more when the request is over
		const { socket, response } = Deno.upgradeWebSocket(request);
		socket.onmessage = () => socket.send(who(peer));
		return response;
	});
} else {
	Bun.serve({
		port,
		hostname: '127.0.0.1',
		fetch(request, server) {
			if (server.upgrade(request))
				return undefined;
			return new Response(who(server.requestIP(request).address));
		},
		websocket: { message: socket => { socket.send(who(socket.remoteAddress)); } },
	});
}
