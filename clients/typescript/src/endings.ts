// What the end of a socket means, or that there was none: whether to come back, and what to say.
//
// Source: spec/PROTOCOL.md, section 8. Weakness: why the first connection could not be made is
// looked for; of later ones it is taken for granted that the network is at fault.

import type { Address } from "./address.js";
import type { Platform } from "./client-options.js";
import { ABNORMAL, BACK_OFF, TOO_MANY_CONNECTIONS } from "./closing.js";
import {
  APIError,
  ConfigurationError,
  ConnectionError,
  type TokenferryError,
  apiError,
} from "./errors.js";
import { ownError } from "./frames.js";
import type { Link } from "./link.js";
import type { Ending } from "./socket.js";

const BAD_TICKET = 4001;
const TOO_MANY_REQUESTS = 429;
// What a browser's refused upgrade closes with.
const CLOSE_CODES: Readonly<Record<number, readonly [code: string, type: string]>> = {
  1009: ["payload_too_large", "invalid_request_error"],
  4000: ["invalid_frame", "invalid_request_error"],
  4001: ["invalid_api_key", "authentication_error"],
  4003: ["origin_not_allowed", "authentication_error"],
  4004: ["unsupported_version", "invalid_request_error"],
  4008: ["authentication_timeout", "authentication_error"],
  [TOO_MANY_CONNECTIONS]: ["too_many_connections", "rate_limit_error"],
};

/** What to say, and the close code that it counts as; null: it is not to be tried again. */
export type Meaning = readonly [error: TokenferryError, code: number | null];

/** Says what the end of a socket means; `link` is as it was before it. */
export type Conclude = (ending: Ending, link: Link) => Promise<Meaning>;

/** Returns what concludes for one gateway. */
export function concluding(address: Address, platform: Platform, own: typeof fetch): Conclude {
  const { http } = address;
  let badTickets = 0;

  const meaning = async (ending: Ending, held: boolean): Promise<Meaning> => {
    const { code, reason, error: cause, wasOpen } = ending;
    const lost = (said: string): Meaning => [new ConnectionError(said, "lost", { cause }), code];
    if (wasOpen) return lost(reason || `The connection was lost (${code}).`);
    if (cause instanceof ConfigurationError) return [cause, null];
    if (cause instanceof APIError) {
      const backOff = cause.status === TOO_MANY_REQUESTS ? TOO_MANY_CONNECTIONS : BACK_OFF;
      return [cause, cause.retryable ? backOff : null];
    }
    const refused = await platform.refusal?.(ending, http);
    if (refused) return refused;
    if (cause instanceof ConnectionError && cause.kind === "ticket") return [cause, code];
    if (held) return lost(`${http} cannot be reached.`);
    const error = await platform.diagnose(address, own, cause);
    const stays = error.kind === "wrong_scheme" || error.kind === "certificate";
    return [error, stays ? null : code];
  };

  return async (ending, link) => {
    let [error, code] = await meaning(ending, link.connectionId !== null);
    const [known, type] = CLOSE_CODES[code ?? 0] ?? [];
    if (known && !(error instanceof APIError))
      error = apiError(ownError(known, error.message, type, code === TOO_MANY_CONNECTIONS));
    if (link.ready) badTickets = 0;
    // A ticket does not outlive the server that gave it; the second one in a row is another matter.
    else if (code === BAD_TICKET && ending.protocols.length > 1 && badTickets++ === 0)
      code = ABNORMAL;
    return [error, code];
  };
}
