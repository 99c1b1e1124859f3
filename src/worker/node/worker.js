"use strict";
// Joins a pool of limpet's from a Node.js process that limpet did not start.
//
// Node.js cannot receive a descriptor on a Unix socket, but it can on the channel to a child process. So the child is
// limpet-join, which passes its end of that channel on to limpet, and limpet speaks Node's own protocol over it: one message
// with a socket for each client, which Node.js acknowledges (protocol node-ipc, flavour limpet:connection; limpet(8)).
// limpet-join also joins the next limpet when this one is gone; the channel stays the same.

const { spawn } = require("child_process");
const cluster = require("cluster");
const { EventEmitter } = require("events");

const RETRY_FIRST = 100;
const RETRY_LAST = 30000; // ms between attempts to start limpet-join again
const LINE_MAX = 16384;
const REFUSED = 1; // limpet-join's exit status

function problem(code, message) {
  return Object.assign(new Error(`limpet: ${message}`), { code });
}

function checkNeed(environment) {
  if (environment.LIMPET_FD)
    throw problem("ERR_LIMPET_PROTOCOL", "limpet has started this process with protocol limpet, from which Node.js cannot take " +
      "sockets: leave \"protocol\" (or -p) out, and the connections arrive at server.listen(), without join()");
  if (environment.LIMPET_GENERATION)
    throw problem("ERR_LIMPET_NO_NEED", "limpet has started this process, and its connections arrive at server.listen(): " +
      "leave out join()");
  if (cluster.isWorker)
    throw problem("ERR_LIMPET_NO_NEED", "this is a worker of node:cluster, whose connections come from its primary and arrive at " +
      "server.listen(): leave out join(), or start it without node:cluster");
}

// As net.Server does it for the connections that it accepts.
function prepare(socket, server) {
  socket.allowHalfOpen = Boolean(server.allowHalfOpen);
  socket.server = server;
  if (server.noDelay) socket.setNoDelay(true);
  if (server.keepAlive) socket.setKeepAlive(true, server.keepAliveInitialDelay);
}

function eachLine(stream, take) {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("error", () => {});
  stream.on("data", (data) => {
    const lines = (rest + data).slice(-LINE_MAX).split("\n");
    rest = lines.pop();
    lines.forEach(take);
  });
}

class Worker extends EventEmitter {
  constructor(options, server) {
    super();
    checkNeed(process.env);
    const given = (value, name) => (value === undefined ? process.env[name] : String(value)) || undefined;
    this.slot = given(options.slot, "LIMPET_SLOT");
    this.drained = false;
    this.connections = 0;
    this._server = server;
    this._socket = given(options.socket, "LIMPET_SOCKET");
    this._pool = given(options.pool, "LIMPET_POOL");
    this._launcher = given(options.launcher, "LIMPET_JOIN") || "limpet-join";
    this._wanted = this.slot; // undefined: any
    this._delay = RETRY_FIRST;
    this._joined = false; // ever
    this._ended = 0; // connections that limpet has not been told of
    if (!this._socket)
      throw problem("ERR_LIMPET_NO_SOCKET", "there is nowhere to join: set LIMPET_SOCKET or the option \"socket\" to the socket " +
        "of the pool (\"socket\" in limpet.json), or let limpet start this process, as in \"limpet -- node server.js\"");
    if (server)
      // Kept-alive connections would outlive a drain, request by request.
      server.prependListener("request", (request, response) => {
        if (this.drained) response.shouldKeepAlive = false;
      });
    this._start();
  }

  close() {
    this._tell({ type: "limpet:bye" });
    this._drain();
  }

  stats(values) {
    this._tell({ type: "limpet:stats", values });
  }

  _start() {
    const words = ["-S", this._socket, "--channel-fd", "3"];
    if (this._pool) words.push("-P", this._pool);
    if (this.slot) words.push("-s", this.slot);
    const child = spawn(this._launcher, words, { stdio: ["ignore", "ignore", "pipe", "ipc"] });
    const attempt = { child, said: "", slot: undefined, asked: false, over: false };
    this._attempt = attempt;
    child.on("message", (message, socket) => this._message(message, socket));
    child.on("error", (error) => this._over(attempt, error));
    child.on("exit", (status) => {
      attempt.status = status;
      // What limpet has sent is read first.
      if (!child.connected) this._over(attempt);
    });
    child.on("disconnect", () => {
      if (attempt.status !== undefined) this._over(attempt);
    });
    eachLine(child.stderr, (line) => this._said(attempt, line));
    child.stderr.unref();
  }

  _tell(message) {
    const { child } = this._attempt;
    if (child.connected) child.send(message, () => {});
  }

  // limpet-join's log goes where this process's goes.
  _said(attempt, line) {
    attempt.said = line.replace(/^limpet-join: (error: |warning: )?/, "");
    process.stderr.write(`${line}\n`);
    const joined = / joined pool (\S+) as worker (\S+)$/.exec(line);
    if (joined) {
      attempt.slot = joined[2];
      this._hasJoined(attempt);
    }
  }

  // Both limpet-join and limpet have said so; in which order these two come is not certain.
  _hasJoined(attempt) {
    if (!attempt.slot || !attempt.asked || this.drained) return;
    this.slot = attempt.slot;
    attempt.slot = undefined;
    attempt.asked = false;
    this._joined = true;
    this._delay = RETRY_FIRST;
    this.emit("joined", this.slot);
  }

  _message(message, socket) {
    if (!message) return;
    if (message.type === "limpet:ping") {
      this._tell({ type: "limpet:pong", id: message.id });
      this._attempt.asked = true;
      this._hasJoined(this._attempt);
    } else if (message.type === "limpet:drain") {
      this._drain();
    } else if (message.type === "limpet:connection" && socket) {
      const { listener, client, key } = message;
      this._count(socket);
      socket.limpet = { listener, client, key };
      if (this._server) {
        prepare(socket, this._server);
        this._server.emit("connection", socket);
      } else if (!this.emit("connection", socket)) {
        socket.destroy();
      }
    }
  }

  _count(socket) {
    this.connections++;
    socket.once("close", () => {
      this.connections--;
      if (this._ended++ === 0)
        setImmediate(() => {
          this._tell({ type: "limpet:closed", count: this._ended });
          this._ended = 0;
        });
    });
  }

  _over(attempt, error) {
    if (attempt.over) return;
    attempt.over = true;
    if (this.drained) return;
    if (error && error.code === "ENOENT")
      error = new Error(`${this._launcher} is not there: install limpet, or set LIMPET_JOIN or the option "launcher" to where ` +
        "limpet-join is");
    const reason = error ? error.message : attempt.said || "limpet-join has ended";
    if (!this._joined || error) {
      this._drain();
      this.emit("error", problem("ERR_LIMPET_JOIN", reason));
      return;
    }
    // limpet chose it, and may have given it to somebody else meanwhile.
    if (attempt.status === REFUSED) this.slot = this._wanted;
    this.emit("lost", reason);
    this._timer = setTimeout(() => this._start(), this._delay * (0.5 + Math.random() / 2));
    this._delay = Math.min(2 * this._delay, RETRY_LAST);
  }

  _drain() {
    if (this.drained) return;
    this.drained = true;
    clearTimeout(this._timer);
    // limpet-join ends when this process does, and must not keep it.
    const { child } = this._attempt;
    child.unref();
    if (child.channel) child.channel.unref();
    this.emit("drain");
  }
}

function join(options, server) {
  if (options && typeof options.emit === "function") [options, server] = [{}, options];
  return new Worker(options || {}, server);
}

module.exports = { join, Worker };
