import { EventEmitter } from "events";
import { Server, Socket } from "net";

export interface JoinOptions {
  /** Where the pool's workers join: a path, or "@NAME". Default: LIMPET_SOCKET. */
  socket?: string;
  /** The pool's name. Default: LIMPET_POOL; without it, whichever the socket is of. */
  pool?: string;
  /** The slot to ask for. Default: LIMPET_SLOT; without it limpet chooses one. */
  slot?: string | number;
  /** The program limpet-join. Default: LIMPET_JOIN, or else limpet-join as it is found in PATH. */
  launcher?: string;
}

/** What limpet says of a connection. */
export interface Details {
  /** The listener's name. */
  listener: string;
  /** The client address, as a trusted proxy said it if there is one: 203.0.113.9:51123. */
  client: string;
  /** The source of the sticky key: ip, cookie, header, query or path. */
  key: string;
}

export interface LimpetSocket extends Socket {
  limpet: Details;
}

/** This process's place in a pool. It keeps the process alive until limpet drains it, or close() is called. */
export class Worker extends EventEmitter {
  /** The slot that this process has, had last, or asks for. */
  readonly slot: string | undefined;
  /** No connection comes any more. */
  readonly drained: boolean;
  /** How many are open. */
  readonly connections: number;
  /** Takes no more connections. Those that are open stay so. */
  close(): void;
  /** Numbers of this worker that limpetctl status shows: at most 16, named with a-z, 0-9 and _. */
  stats(values: Record<string, number>): void;

  /** A client, if join() was given no server. */
  on(event: "connection", listener: (socket: LimpetSocket) => void): this;
  /** It has a place, for the first time or in the next limpet. */
  on(event: "joined", listener: (slot: string) => void): this;
  /** limpet-join has ended; it is started again after a while. */
  on(event: "lost", listener: (reason: string) => void): this;
  /** No connection comes any more: finish those that are open, and end. */
  on(event: "drain", listener: () => void): this;
  /** It could not join, and does not try again. */
  on(event: "error", listener: (error: Error) => void): this;
  on(event: string | symbol, listener: (...args: any[]) => void): this;
}

/**
 * Joins a pool of limpet's. Connections arrive at `server` (net, http, https, tls) as if it listened; it need not.
 * Throws if there is nowhere to join, or no need to.
 */
export function join(options?: JoinOptions, server?: Server): Worker;
export function join(server: Server): Worker;
