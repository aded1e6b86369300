// What the end of a socket means, or that there was none: whether to come back, and what to say.
//
// Source: spec/PROTOCOL.md, section 8. Weakness: why the first connection could not be made is
// looked for; of later ones it is taken for granted that the network is at fault.

import type { Address } from "./address.js";
import type { Platform } from "./client-options.js";
import {
  APIError,
  ConfigurationError,
  ConnectionError,
  type TokenferryError,
  UpgradeError,
} from "./errors.js";
import type { ErrorInfo } from "./events.js";
import { ABNORMAL, type Link } from "./link.js";
import type { Ending } from "./socket.js";

const BAD_TICKET = 4001;
const BACK_OFF = 4100;
const TOO_MANY_CONNECTIONS = 4029;
/** Section 8 of the protocol: the client is at fault. */
export const MEND = 4000;
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
    const { code, reason, error: cause, wasOpen } = ending;
    if (!wasOpen) return this.#withoutOne(ending, link, attempt);
    const said = reason || `The connection was closed with ${code}.`;
    return this.#lost(new ConnectionError(said, "lost", { cause }), code, link);
  }

  async #withoutOne(
    { code, error: cause }: Ending,
    link: Link,
    attempt: number,
  ): Promise<Conclusion> {
    if (cause instanceof ConfigurationError) return hopeless(cause);
    if (cause instanceof APIError) {
      return cause.retryable ? this.#lost(cause, BACK_OFF, link) : hopeless(cause);
    }
    const { http } = this.#address;
    const refused = this.#platform.refusal(cause);
    if (refused !== null) {
      const said = `${http} answers HTTP and opens no WebSocket: ${(cause as Error).message}`;
      const error = new UpgradeError(said, "upgrade", { cause });
      return refused === MEND ? hopeless(error) : this.#lost(error, refused, link);
    }
    if (this.#connected) {
      return this.#lost(
        new ConnectionError(`${http} cannot be reached.`, "lost", { cause }),
        code,
        link,
      );
    }
    const error = await this.#platform.diagnose(this.#address, this.#fetch, cause);
    const stays = error.kind === "wrong_scheme" || error.kind === "certificate";
    return stays || attempt >= this.#maxRetries ? hopeless(error) : this.#lost(error, code, link);
  }

  #lost(error: TokenferryError, given: number, link: Link): Conclusion {
    let code = given;
    if (link.ready) this.#badTickets = 0;
    // A ticket does not outlive the server that gave it; the second one in a row is another matter.
    else if (code === BAD_TICKET && link.ticket && this.#badTickets++ === 0) code = ABNORMAL;
    const [known, type] = CLOSE_CODES[code] ?? [];
    const { message } = error;
    const retryable = code === TOO_MANY_CONNECTIONS;
    const refusal = known && type ? { code: known, type, message, param: null, retryable } : null;
    return { error, code, refusal };
  }
}

const hopeless = (error: TokenferryError): Conclusion => ({ error, code: null, refusal: null });
