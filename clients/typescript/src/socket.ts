// One WebSocket at a time: opened after a while, authenticated with a ticket if need be, and told
// apart from those before it.
//
// Source: the WHATWG WebSockets standard, which the `ws` package follows as well.

import type { Address } from "./address.js";
import { ABNORMAL } from "./link.js";

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

/** How a socket ended, or why there was none. */
export interface Ending {
  readonly code: number;
  readonly reason: string;
  /** What the platform, or the getting of a ticket, said. */
  readonly error: unknown;
  readonly wasOpen: boolean;
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
      timer: setTimeout(() => void this.#open(attempt), delayMs),
      waits: true,
      wasOpen: false,
      error: null,
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
      const protocols = [SUBPROTOCOL];
      if (this.#ticket) protocols.push(`ticket.${await this.#ticket()}`);
      if (this.#attempt === attempt)
        this.#begin(attempt, new Socket(this.#address.socket, protocols));
    } catch (error) {
      attempt.error = error;
      this.#end(attempt);
    }
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
    };
    socket.onclose = ({ code, reason }: { code: number; reason?: unknown }) =>
      this.#end(attempt, code, String(reason ?? ""));
  }

  #end(attempt: Attempt, code = ABNORMAL, reason = ""): void {
    if (this.#attempt !== attempt) return;
    clearTimeout(attempt.timer);
    this.#attempt = null;
    const { error, wasOpen } = attempt;
    this.#owner.closed({ code, reason, error, wasOpen });
  }
}
