// Why no connection could be made, as well as Node lets it be told.
//
// A WebSocket that does not open says little. So the same address is asked by HTTP, and when that
// fails as well, by the other scheme: who answers there was meant.
//
// Source: Node's error codes (nodejs.org/api/errors.html, OpenSSL's names), which `fetch` has in
// `cause`, and Bun, too; Deno has words, those of Rust's hyper, rustls and system. Weakness: for
// these; what a page can find out is in page-diagnosis.ts.

import type { Address } from "./address.js";
import {
  CertificateError,
  ConnectTimeoutError,
  ConnectionError,
  type ConnectionKind,
  ConnectionRefusedError,
  DNSError,
  UpgradeError,
  WrongSchemeError,
} from "./errors.js";

const PROBE_MS = 3_000;
const DNS = /^(ENOTFOUND|EAI_AGAIN|ENODATA)$/;
const TIMEOUT = /^(ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT)$/;
// What OpenSSL says of bytes that are no TLS.
const NO_TLS = /^(EPROTO|ERR_SSL_)/;
const CERTIFICATE = /CERT|SELF_SIGNED|ERR_TLS_|UNABLE_TO_(VERIFY|GET)/;

// What Deno says, in Node's codes.
const WORDS: readonly (readonly [words: RegExp, code: string])[] = [
  [/connection refused/i, "ECONNREFUSED"],
  [/dns error|failed to lookup/i, "ENOTFOUND"],
  [/invalid peer certificate/i, "CERT_INVALID"],
  [/corrupt message/i, "EPROTO"],
  [/connection reset/i, "ECONNRESET"],
];

interface Failure {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly cause?: unknown;
  readonly errors?: unknown;
}

/** Returns the code that Node has for a failed `fetch` or socket; null if it has none. */
export function causeCode(error: unknown): string | null {
  for (let at = error, depth = 0; at instanceof Object && depth < 5; depth++) {
    const { code, message, cause, errors } = at as Failure;
    if (typeof code === "string" && code !== "") return code;
    const found = WORDS.find(([words]) => words.test(String(message)));
    if (found) return found[1];
    at = cause ?? (Array.isArray(errors) ? errors[0] : null);
  }
  return null;
}

/** Returns the error that says what is wrong with an address; it takes some seconds at most. */
export async function diagnose(
  address: Address,
  own: typeof fetch,
  socketError: unknown,
): Promise<ConnectionError> {
  const { http } = address;
  const tls = http.startsWith("https:");
  const failure = (Class: typeof ConnectionError, kind: ConnectionKind, said: string) =>
    new Class(said, kind, { cause: socketError });
  const wrongScheme = (said: string) => failure(WrongSchemeError, "wrong_scheme", said);
  const schemes = ["http: or ws:", "https: or wss:"];
  const [has, wants] = tls ? schemes.reverse() : schemes;
  const mixedUp = `${http} is the wrong scheme: \`baseURL\` has ${has}, and the server speaks ${wants}.`;
  const found = await probe(http, own);
  if (found.answers && found.status !== 400) {
    const said = `${http} answers HTTP and opens no WebSocket; does a proxy drop the Upgrade header?`;
    return failure(UpgradeError, "upgrade", said);
  }
  const code = found.code ?? causeCode(socketError) ?? "";
  if (code === "ECONNREFUSED") {
    const said = `Nothing listens at ${http}: connection refused. Does the gateway run?`;
    return failure(ConnectionRefusedError, "refused", said);
  }
  if (DNS.test(code)) return failure(DNSError, "dns", `There is no such host: ${http}.`);
  if (tls && NO_TLS.test(code)) return wrongScheme(mixedUp);
  if (tls && CERTIFICATE.test(code)) {
    return failure(
      CertificateError,
      "certificate",
      `The certificate of ${http} is not trusted: ${code}.`,
    );
  }
  if (found.timedOut || TIMEOUT.test(code)) {
    return failure(
      ConnectTimeoutError,
      "timeout",
      `${http} does not answer; is a firewall in between?`,
    );
  }
  const other = await probe(tls ? http.replace("s:", ":") : http.replace(":", "s:"), own);
  // A certificate that is not trusted shows TLS as well as one that is.
  if (other.answers || (!tls && CERTIFICATE.test(other.code ?? ""))) return wrongScheme(mixedUp);
  return failure(
    ConnectionError,
    "unknown",
    `No connection to ${http}: ${code || "no reason is known"}.`,
  );
}

interface Found {
  readonly answers: boolean;
  readonly status: number;
  readonly code: string | null;
  readonly timedOut: boolean;
}

async function probe(http: string, own: typeof fetch): Promise<Found> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), PROBE_MS);
  try {
    const response = await own(`${http}/healthz`, { signal: stop.signal });
    void response.body?.cancel();
    return { answers: true, status: response.status, code: null, timedOut: false };
  } catch (error) {
    return { answers: false, status: 0, code: causeCode(error), timedOut: stop.signal.aborted };
  } finally {
    clearTimeout(timer);
  }
}

// Not a literal in `import`, as no types of Node are wanted; what is used of it stands here.
const HTTP_MODULE = "node:http";
const HTTPS_MODULE = "node:https";
// An error of the gateway's has some hundred; whoever sends more is somebody else.
const BODY_BYTES_MAX = 65_536;

interface NodeResponse {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  on(name: string, listener: (data: Uint8Array) => void): NodeResponse;
  destroy(): void;
}

interface NodeRequest {
  on(name: string, listener: (response: NodeResponse) => void): NodeRequest;
  destroy(): void;
}

interface HttpModule {
  get(
    address: string,
    options: { headers: object; signal: AbortSignal; agent: false },
  ): NodeRequest;
}

/** How an upgrade was refused. */
export interface RefusedUpgrade {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  /** What its JSON is; null if there is none. */
  readonly body: unknown;
}

/**
 * Asks for an upgrade, and returns how it is refused; null if it is accepted, or there is no answer.
 * `fetch` may not ask for one.
 */
export async function askAgain(
  http: string,
  protocols: readonly string[],
): Promise<RefusedUpgrade | null> {
  const module = http.startsWith("https:") ? HTTPS_MODULE : HTTP_MODULE;
  const { get } = (await import(module)) as HttpModule;
  const headers = {
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": btoa("0123456789abcdef"), // 16 bytes; nobody looks at the answer to them
    "Sec-WebSocket-Protocol": protocols.join(", "),
  };
  const signal = AbortSignal.timeout(PROBE_MS);
  return new Promise((resolve) => {
    const request = get(`${http}/v1/stream`, { headers, signal, agent: false });
    const end = () => {
      resolve(null);
      request.destroy();
    };
    const answered = (response: NodeResponse) => {
      if (response.statusCode < 300) return end();
      const text = new TextDecoder();
      let body = "";
      response.on("data", (data) => {
        body += text.decode(data, { stream: true });
        if (body.length > BODY_BYTES_MAX) response.destroy();
      });
      // What broke off is no JSON; that there was an answer is enough.
      response.on("error", () => {});
      response.on("close", () => resolve(refusedUpgrade(response, body)));
    };
    request.on("response", answered).on("upgrade", end).on("error", end);
  });
}

function refusedUpgrade({ statusCode, headers }: NodeResponse, text: string): RefusedUpgrade {
  const get = (name: string) => String(headers[name] ?? "") || null;
  let body: unknown = null;
  try {
    body = JSON.parse(text);
  } catch {
    // A page of a proxy's, mostly.
  }
  return { status: statusCode, headers: { get }, body };
}
