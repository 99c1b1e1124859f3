'use strict';
console.log('never-listens: pid %d', process.pid);
setInterval(() => {}, 1000);
