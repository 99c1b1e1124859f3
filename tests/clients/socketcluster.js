'use strict';
// One socketcluster client: host, port, path, local address. Prints the answers to five calls as a line of JSON.
const { createRequire } = require('module');
const load = createRequire(require('path').join(__dirname, '..', 'apps', 'package.json'));
const socketClusterClient = load('socketcluster-client');

const [hostname, port, localAddress] = process.argv.slice(2);
const socket = socketClusterClient.create({ hostname, port: Number(port), autoReconnect: false,
	wsOptions: { localAddress } });

(async () => {
	for await (const { error } of socket.listener('error')) {
		console.log(JSON.stringify({ error: String(error) }));
		process.exit(1);
	}
})();
(async () => {
	const answers = [];
	for (let i = 0; i < 5; i++)
		answers.push(await socket.invoke('who', i));
	console.log(JSON.stringify({ answers }));
	socket.disconnect();
})();
