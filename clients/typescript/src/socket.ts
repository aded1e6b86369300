// One WebSocket at a time: opened after a while, authenticated with a ticket if need be, and told
// apart from those before it.
//
// Source: the WHATWG WebSockets standard, which the `ws` package follows as well.

import type { Address } from "./address.js";
import { later } from "./clock.js";
import { ABNORMAL } from "./closing.js";
import { ConnectionError, TokenferryError } from "./errors.js";

const SUBPROTOCOL = "tokenferry.v1";
const OPEN_TIMEOUT_MS = 10_000;
// Longer than the client's own exchange of a key for a ticket takes, which has words of its own.
const TICKET_TIMEOUT_S = 15;

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

/** How a socket ended, or why there was none. */
export interface Ending {
  readonly code: number;
  readonly reason: string;
  /** What the platform, or the getting of a ticket, said. */
  readonly error: unknown;
  readonly wasOpen: boolean;
  /** The subprotocols that were offered, a ticket among them. */
  readonly protocols: readonly string[];
}

export interface SocketOwner {
  opened(): void;
  received(text: string): void;
  closed(ending: Ending): void;
}

interface Attempt {
  socket: Socket | null;
  timer: ReturnType<typeof setTimeout> | undefined;
  waits: boolean;
  wasOpen: boolean;
  error: unknown;
  readonly protocols: string[];
}

export class Dialler {
  readonly #address: Address;
  readonly #load: () => Promise<SocketConstructor>;
  readonly #ticket: (() => Promise<string>) | undefined;
  readonly #owner: SocketOwner;
  #attempt: Attempt | null = null;

  constructor(
    address: Address,
    load: () => Promise<SocketConstructor>,
    ticket: (() => Promise<string>) | undefined,
    owner: SocketOwner,
  ) {
    this.#address = address;
    this.#load = load;
    this.#ticket = ticket;
    this.#owner = owner;
  }

  send(text: string): void {
    this.#attempt?.socket?.send(text);
  }

  /** Opens a socket after a while. */
  dial(delayMs: number): void {
    const attempt: Attempt = {
      socket: null,
      timer: later(() => void this.#open(attempt), delayMs),
      waits: true,
      wasOpen: false,
      error: null,
      protocols: [SUBPROTOCOL],
    };
    this.#attempt = attempt;
  }

  /** Does not wait any longer, because the network may be back. */
  hurry(): void {
    if (this.#attempt?.waits) void this.#open(this.#attempt);
  }

  /** Lets go of everything; nothing of it is reported any more. */
  hangUp(code: number): void {
    const attempt = this.#attempt;
    clearTimeout(attempt?.timer);
    this.#attempt = null;
    attempt?.socket?.close(code);
  }

  async #open(attempt: Attempt): Promise<void> {
    clearTimeout(attempt.timer);
    attempt.waits = false;
    try {
      const Socket = await this.#load();
      const { protocols } = attempt;
      if (this.#ticket) protocols.push(`ticket.${await this.#getTicket(attempt, this.#ticket)}`);
      if (this.#attempt === attempt)
        this.#begin(attempt, new Socket(this.#address.socket, protocols));
    } catch (error) {
      attempt.error = error;
      this.#end(attempt);
    }
  }

  /** Gets a ticket; why there is none is not the gateway's affair. */
  async #getTicket(attempt: Attempt, get: () => Promise<string>): Promise<string> {
    const failure = (said: string, cause?: unknown) =>
      new ConnectionError(`No ticket for the connection: ${said}`, "ticket", { cause });
    attempt.timer = setTimeout(() => {
      attempt.error = failure(`no answer within ${TICKET_TIMEOUT_S} s.`);
      this.#end(attempt);
    }, TICKET_TIMEOUT_S * 1000);
    try {
      const ticket: unknown = await get();
      if (typeof ticket === "string" && ticket !== "") return ticket;
    } catch (error) {
      throw error instanceof TokenferryError
        ? error
        : failure(error instanceof Error ? error.message : String(error), error);
    } finally {
      clearTimeout(attempt.timer);
    }
    throw failure("`ticket` gave no ticket.");
  }

  #begin(attempt: Attempt, socket: Socket): void {
    attempt.socket = socket;
    attempt.timer = setTimeout(() => {
      this.#end(attempt);
      socket.close();
    }, OPEN_TIMEOUT_MS);
    socket.onopen = () => {
      if (this.#attempt !== attempt) return socket.close();
      clearTimeout(attempt.timer);
      attempt.wasOpen = true;
      this.#owner.opened();
    };
    socket.onmessage = ({ data }: { data: unknown }) => {
      // A binary message is none of the protocol; as text, the link refuses it.
      if (this.#attempt === attempt) this.#owner.received(typeof data === "string" ? data : "");
    };
    socket.onerror = ({ error, message }: { error?: unknown; message?: unknown }) => {
      attempt.error = error ?? message ?? null;
      // Nothing more comes of it: in Node 22 not even a close.
      if (!attempt.wasOpen) this.#end(attempt);
    };
    socket.onclose = ({ code, reason }: { code: number; reason?: unknown }) =>
      this.#end(attempt, code, String(reason ?? ""));
  }

  #end(attempt: Attempt, code = ABNORMAL, reason = ""): void {
    if (this.#attempt !== attempt) return;
    clearTimeout(attempt.timer);
    this.#attempt = null;
    this.#owner.closed({ ...attempt, code, reason });
  }
}
