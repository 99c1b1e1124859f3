'use strict';
// Listens DELAY milliseconds after its start.
setTimeout(() => require('./http-ws'), Number(process.env.DELAY || 500));
