// What the end of a socket means, or that there was none: whether to come back, and what to say.
//
// Source: spec/PROTOCOL.md, section 8. Weakness: why the first connection could not be made is
// looked for; of later ones it is taken for granted that the network is at fault.

import type { Address } from "./address.js";
import type { Platform } from "./client-options.js";
import { APIError, ConfigurationError, ConnectionError, type TokenferryError } from "./errors.js";
import { ownError } from "./frames.js";
import type { ErrorInfo } from "./events.js";
import { ABNORMAL, type Link } from "./link.js";
import type { Ending } from "./socket.js";

const BAD_TICKET = 4001;
const BACK_OFF = 4100;
const TOO_MANY_CONNECTIONS = 4029;
// What a browser's refused upgrade closes with.
const CLOSE_CODES: Readonly<Record<number, readonly [code: string, type: string]>> = {
  1009: ["payload_too_large", "invalid_request_error"],
  4000: ["invalid_frame", "invalid_request_error"],
  4001: ["invalid_api_key", "authentication_error"],
  4003: ["origin_not_allowed", "authentication_error"],
  4004: ["unsupported_version", "invalid_request_error"],
  4008: ["authentication_timeout", "authentication_error"],
  4029: ["too_many_connections", "rate_limit_error"],
};

/** What to say, and the close code that it counts as; null: it is not to be tried again. */
export type Meaning = readonly [error: TokenferryError, code: number | null];

export interface Conclusion {
  /** For people, and for who asks why. */
  readonly error: TokenferryError;
  /** What the link is told; null: it is not to try again, whatever it thinks. */
  readonly code: number | null;
  readonly refusal: ErrorInfo | null;
}

export class Endings {
  readonly #address: Address;
  readonly #platform: Platform;
  readonly #fetch: typeof fetch;
  readonly #maxRetries: number;
  #connected = false; // once
  #badTickets = 0;

  constructor(address: Address, platform: Platform, own: typeof fetch, maxRetries: number) {
    this.#address = address;
    this.#platform = platform;
    this.#fetch = own;
    this.#maxRetries = maxRetries;
  }

  /** Takes note that a connection could be made. */
  opened(): void {
    this.#connected = true;
  }

  /** Concludes; `attempt` says how many connections in a row have failed before. */
  async conclude(ending: Ending, link: Link, attempt: number): Promise<Conclusion> {
    const [error, given] = await this.#meaning(ending, attempt);
    let code = given;
    if (link.ready) this.#badTickets = 0;
    // A ticket does not outlive the server that gave it; the second one in a row is another matter.
    else if (code === BAD_TICKET && link.ticket && this.#badTickets++ === 0) code = ABNORMAL;
    const [known, type] = CLOSE_CODES[code ?? 0] ?? [];
    const retryable = code === TOO_MANY_CONNECTIONS;
    const refusal = known ? ownError(known, error.message, type, retryable) : null;
    return { error, code, refusal };
  }

  async #meaning(ending: Ending, attempt: number): Promise<Meaning> {
    const { code, reason, error: cause, wasOpen } = ending;
    const { http } = this.#address;
    const lost = (said: string): Meaning => [new ConnectionError(said, "lost", { cause }), code];
    if (wasOpen) return lost(reason || `The connection was closed with ${code}.`);
    if (cause instanceof ConfigurationError) return [cause, null];
    if (cause instanceof APIError) return [cause, cause.retryable ? BACK_OFF : null];
    const refused = await this.#platform.refusal?.(cause, http);
    if (refused) return refused;
    if (cause instanceof ConnectionError && cause.kind === "ticket")
      return [cause, this.#connected || attempt < this.#maxRetries ? code : null];
    if (this.#connected) return lost(`${http} cannot be reached.`);
    const error = await this.#platform.diagnose(this.#address, this.#fetch, cause);
    const stays = error.kind === "wrong_scheme" || error.kind === "certificate";
    return [error, stays || attempt >= this.#maxRetries ? null : code];
  }
}
