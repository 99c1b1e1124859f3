'use strict';
const http = require('http');
const { Server } = require('socket.io');

const server = http.createServer();
require('./socketio-handlers')(new Server(server, { maxHttpBufferSize: 1e7 }));
server.listen(process.env.PORT || 0, process.env.HOST);
