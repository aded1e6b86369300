// The link on a WebSocket, in a browser or in Node.
//
// Source: the WHATWG WebSockets standard, which the `ws` package follows as well. Weakness: events
// wait in memory until they are read; the server's limit on one stream's log bounds them.

import type { Action } from "./actions.js";
import { RANDOM_RANGE } from "./closing.js";
import type { JsonObject, StreamEvent } from "./events.js";
import { ABNORMAL, Link, type LinkOptions } from "./link.js";

const SUBPROTOCOL = "tokenferry.v1";
const OPEN_TIMEOUT_MS = 10_000;

/** What is used of a WebSocket: the standard's, or that of the `ws` package. */
export interface Socket {
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(data: string): void;
  close(code?: number): void;
}

export type SocketConstructor = new (url: string, protocols: string[]) => Socket;

export interface ClientOptions {
  /** Of `/v1/stream`, with ws: or wss:. */
  readonly url: string;
  /** The API key, sent as the first message; not for pages, which use `ticket`. */
  readonly key?: string;
  /** Gets a ticket, once for each connection: how a page authenticates. */
  readonly ticket?: () => Promise<string>;
  /** `globalThis.WebSocket` unless given; Node before 22 has none, so pass that of `ws`. */
  readonly WebSocket?: SocketConstructor;
  /** When to ping and when to give up. */
  readonly link?: Pick<LinkOptions, "pings" | "attemptsMax" | "outageMsMax">;
}

/** The events of one stream, in order; the last one is `done` or `failed`. */
export class Stream implements AsyncIterable<StreamEvent> {
  readonly ref: string;
  /** The server's name for it; null until it is known. */
  streamId: string | null;
  /** With `seq`, how far the events that were read reach. */
  epoch = 0;
  seq = 0;
  /** The text of choice 0 so far, with what was taken back taken out. */
  text = "";
  readonly #client: Client;
  #events: StreamEvent[] = [];
  #closed = false;
  #wake: (() => void) | null = null;

  constructor(client: Client, ref: string, streamId: string | null) {
    this.#client = client;
    this.ref = ref;
    this.streamId = streamId;
  }

  /** Ends the stream at the server; `done` with "cancelled" comes as the last event. */
  cancel(): void {
    this.#client.cancel(this);
  }

  /** Stops receiving: the iteration ends, the stream goes on. */
  detach(): void {
    this.#client.detach(this);
  }

  /** Adds an event to those that wait to be read; null ends them. */
  push(event: StreamEvent | null): void {
    if (event !== null) this.#events.push(event);
    this.#closed ||= event === null || event.type === "done" || event.type === "failed";
    this.#wake?.();
  }

  /** Iterates over the events; leaving the loop before the end detaches. */
  async *[Symbol.asyncIterator](): AsyncGenerator<StreamEvent, void, void> {
    try {
      for (;;) {
        const events = this.#events;
        this.#events = [];
        for (const event of events) {
          this.#take(event);
          yield event;
        }
        if (this.#events.length > 0) continue;
        if (this.#closed) return;
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      if (!this.#closed) this.detach();
    }
  }

  #take(event: StreamEvent): void {
    if ("epoch" in event) this.epoch = event.epoch;
    if (event.type === "started") {
      this.streamId = event.streamId;
    } else if (event.type === "chunk") {
      this.seq = event.seq;
      if (event.index === 0) this.text += event.text;
    } else if (event.type === "rewind") {
      this.seq = event.keepThrough;
      this.text = event.texts[0] ?? "";
    } else if (event.type === "snapshot") {
      const content = event.message["content"];
      this.seq = event.through;
      this.text = typeof content === "string" ? content : "";
    }
  }
}

/** A connection that is wanted and not open yet. */
interface Attempt {
  socket: Socket | null;
  delay: ReturnType<typeof setTimeout>;
}

/** One connection to a gateway at a time, and any number of streams over it. */
export class Client {
  readonly #options: ClientOptions;
  readonly #Socket: SocketConstructor;
  readonly #link: Link;
  readonly #streams = new Map<string, Stream>();
  #socket: Socket | null = null;
  #dialling: Attempt | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #refs = 0;

  constructor(options: ClientOptions) {
    const Constructor = options.WebSocket ?? globalThis.WebSocket;
    if (Constructor === undefined) {
      throw new TypeError("There is no global WebSocket: pass that of the `ws` package.");
    }
    new URL(options.url); // throws here what would be lost in a timer's callback
    this.#options = options;
    this.#Socket = Constructor;
    this.#link = new Link({
      ...options.link,
      ...(options.key === undefined ? {} : { token: options.key }),
      ticket: options.ticket !== undefined,
    });
  }

  /** Asks for an answer to a chat-completion request; `stream` is set. */
  stream(
    request: JsonObject,
    { idempotencyKey, options }: { idempotencyKey?: string; options?: JsonObject } = {},
  ): Stream {
    const key = idempotencyKey ?? globalThis.crypto.randomUUID();
    const creation = { request, idempotencyKey: key, ...(options && { options }) };
    return this.#begin(null, (ref) => this.#link.create(ref, creation, now()));
  }

  /** Follows a stream of the same key from a position on; (1, 0) is its start. */
  follow(streamId: string, { epoch = 1, after = 0 } = {}): Stream {
    const stream = this.#begin(streamId, (ref) =>
      this.#link.follow(ref, { streamId, epoch, after }, now()),
    );
    stream.epoch = epoch;
    stream.seq = after;
    return stream;
  }

  /** Ends a stream at the server. */
  cancel(stream: Stream): void {
    this.#act(this.#link.cancel(stream.ref, now(), randomBits()));
  }

  /** Stops receiving a stream. */
  detach(stream: Stream): void {
    if (this.#streams.delete(stream.ref)) stream.push(null);
    this.#act(this.#link.detach(stream.ref, now(), randomBits()));
  }

  /** Closes; streams that have not ended fail with `client_closed`, and go on at the server. */
  close(): void {
    this.#act(this.#link.close());
  }

  #begin(streamId: string | null, ask: (ref: string) => Action[]): Stream {
    const stream = new Stream(this, String(++this.#refs), streamId);
    const wanted = ask(stream.ref);
    this.#streams.set(stream.ref, stream);
    this.#act(wanted);
    return stream;
  }

  // -- actions ----------------------------------------------------------------------------------

  #act(wanted: Action[]): void {
    for (const action of wanted) {
      switch (action.kind) {
        case "send":
          this.#socket?.send(JSON.stringify(action.message));
          break;
        case "deliver":
          this.#deliver(action.event);
          break;
        case "timer":
          clearTimeout(this.#timer);
          if (action.inMs !== null) {
            this.#timer = setTimeout(
              () => this.#act(this.#link.fired(now(), randomBits())),
              action.inMs,
            );
          }
          break;
        case "connect":
          this.#dial(action.delayMs, action.ticket);
          break;
        case "close":
          this.#hangUp(action.code);
          break;
      }
    }
  }

  #deliver(event: StreamEvent): void {
    const stream = this.#streams.get(event.ref);
    if (event.type === "done" || event.type === "failed") this.#streams.delete(event.ref);
    stream?.push(event);
  }

  #hangUp(code: number): void {
    const socket = this.#socket ?? this.#dialling?.socket;
    clearTimeout(this.#dialling?.delay);
    this.#socket = this.#dialling = null;
    socket?.close(code);
  }

  // -- the socket -------------------------------------------------------------------------------

  #dial(delayMs: number, needsTicket: boolean): void {
    const attempt: Attempt = {
      socket: null,
      delay: setTimeout(() => void this.#open(attempt, needsTicket), delayMs),
    };
    this.#dialling = attempt;
  }

  async #open(attempt: Attempt, needsTicket: boolean): Promise<void> {
    const protocols = [SUBPROTOCOL];
    try {
      if (needsTicket && this.#options.ticket) {
        protocols.push(`ticket.${await this.#options.ticket()}`);
      }
    } catch {
      // Whatever it was, the next attempt gets another one; the link counts them.
      return this.#closed(attempt, null, ABNORMAL);
    }
    if (this.#dialling !== attempt) return;
    const socket = new this.#Socket(this.#options.url, protocols);
    attempt.socket = socket;
    attempt.delay = setTimeout(() => {
      socket.close();
      this.#closed(attempt, socket, ABNORMAL);
    }, OPEN_TIMEOUT_MS);
    socket.onopen = () => {
      if (this.#dialling !== attempt) return socket.close();
      clearTimeout(attempt.delay);
      this.#dialling = null;
      this.#socket = socket;
      this.#act(this.#link.opened(now()));
    };
    socket.onmessage = (event: { data: unknown }) => {
      if (this.#socket !== socket) return;
      // A binary message is none of the protocol; as text, the link refuses it.
      const text = typeof event.data === "string" ? event.data : "";
      this.#act(this.#link.received(text, now(), randomBits()));
    };
    socket.onclose = (event: { code: number }) => this.#closed(attempt, socket, event.code);
    socket.onerror = () => {}; // `ws` throws without; the close that follows says the rest
  }

  #closed(attempt: Attempt, socket: Socket | null, code: number): void {
    if (this.#dialling !== attempt && (socket === null || this.#socket !== socket)) return;
    clearTimeout(attempt.delay);
    this.#socket = this.#dialling = null;
    this.#act(this.#link.closed(code, now(), randomBits()));
  }
}

function now(): number {
  return Math.floor(performance.now());
}

function randomBits(): number {
  return Math.floor(Math.random() * RANDOM_RANGE);
}
