// Where a gateway is: one address for HTTP and WebSocket, however its user writes it.

import { ConfigurationError } from "./errors.js";

/** The two addresses of a gateway. */
export interface Address {
  /** Of HTTP, without a slash at its end. */
  readonly http: string;
  /** Of the WebSocket. */
  readonly socket: string;
}

/**
 * Reads `http(s)://host`, with or without `/v1`, or `ws(s)://host/v1/stream`. A path before that,
 * as a proxy may need it, stays.
 */
export function readAddress(text: string): Address {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new ConfigurationError(`\`baseURL\` is no address: ${text}. Write http://localhost:8000`);
  }
  const scheme = /^(?:http|ws)(s?:)$/.exec(url.protocol);
  if (!scheme) {
    throw new ConfigurationError(
      `\`baseURL\` begins with ${url.protocol} and must with http://, https://, ws:// or wss://.`,
    );
  }
  if (url.username || url.password) {
    throw new ConfigurationError("`baseURL` has credentials; the key belongs in `apiKey`.");
  }
  const path = url.pathname.replace(/\/+$/, "").replace(/\/v1(\/stream)?$/, "");
  const rest = `${scheme[1]}//${url.host}${path}`;
  return { http: `http${rest}`, socket: `ws${rest}/v1/stream` };
}
