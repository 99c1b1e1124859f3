// Joins a pool of limpet's by itself, with the module of src/worker/node ($MODULE): http and WebSockets, one server.
// MODE=socket: no server, echoes lines. MODE=listens: with node:cluster's or limpet's own connections.
const http = require('http');
const { WebSocketServer } = require('ws');
const { join } = require(process.env.MODULE);

const me = () => ({ pid: process.pid, slot: worker.slot });
let worker;

if (process.env.MODE === 'socket') {
  worker = join();
  worker.on('connection', (socket) => {
    socket.on('data', (data) => socket.write(data));
    socket.write(`${JSON.stringify({ ...me(), ...socket.limpet })}\n`);
  });
} else {
  const server = http.createServer((request, response) => response.end(JSON.stringify(me())));
  new WebSocketServer({ server }).on('connection', (socket) => {
    socket.on('message', (text) => socket.send(JSON.stringify({ ...me(), said: String(text) })));
  });
  worker = join(server);
}
worker.on('joined', () => worker.stats({ rooms: 12 }));
worker.on('drain', () => console.log('drain'));
process.on('SIGUSR2', () => worker.close());
