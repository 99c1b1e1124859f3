// What Node's own HTTP parser makes of request heads: records of a length (4 bytes, little-endian) and so many bytes on standard
// input; one JSON object a line on standard output.
'use strict';
const fs = require('fs');
const http = require('http');
const { Duplex } = require('stream');

class Wire extends Duplex {
  _read() {}
  _write(chunk, encoding, done) { done(); }
  setTimeout() { return this; }
  setNoDelay() { return this; }
  setKeepAlive() { return this; }
}

function parse(bytes) {
  return new Promise((resolve) => {
    const wire = new Wire();
    const server = http.createServer({ maxHeaderSize: 100 * 1024, requireHostHeader: false });
    let done = false;
    const finish = (answer) => {
      if (!done) {
        done = true;
        resolve(answer);
        wire.destroy();
      }
    };
    const taken = (request) => finish({ result: 'done', method: request.method, target: request.url,
      fields: request.rawHeaders.map((text) => Buffer.from(text, 'latin1').toString('hex')) });
    for (const event of ['request', 'checkContinue', 'checkExpectation', 'upgrade', 'connect']) server.on(event, taken);
    server.on('clientError', (error) => finish({ result: 'invalid', code: error.code }));
    wire.on('error', () => {});
    server.emit('connection', wire);
    wire.push(bytes);
    setImmediate(() => setImmediate(() => setImmediate(() => finish({ result: 'more' }))));
  });
}

async function main() {
  const input = fs.readFileSync(0);
  for (let at = 0; at < input.length;) {
    const length = input.readUInt32LE(at);
    console.log(JSON.stringify(await parse(input.subarray(at + 4, at + 4 + length))));
    at += 4 + length;
  }
}
main();
