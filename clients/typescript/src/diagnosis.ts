// Why no connection could be made, as well as the platform lets it be told.
//
// A WebSocket that does not open says little: in a page, nothing at all. So the same address is
// asked by HTTP, and when that fails as well, by the other scheme: who answers there was meant.
//
// Source: Node's error codes (nodejs.org/api/errors.html, OpenSSL's names), which `fetch` has in
// `cause`. Weakness: a page sees no codes, and may not ask http: at all when it came by https:.

import type { Address } from "./address.js";
import {
  CertificateError,
  ConnectTimeoutError,
  ConnectionError,
  ConnectionRefusedError,
  DNSError,
  UpgradeError,
  WrongSchemeError,
} from "./errors.js";

const PROBE_MS = 3_000;
const DNS = new Set(["ENOTFOUND", "EAI_AGAIN", "ENODATA"]);
const TIMEOUTS = new Set(["ETIMEDOUT", "UND_ERR_CONNECT_TIMEOUT"]);
// What OpenSSL says of bytes that are no TLS.
const NO_TLS = /^(EPROTO|ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|UNEXPECTED_MESSAGE))$/;
const CERTIFICATE = /CERT|SELF_SIGNED|ERR_TLS_|UNABLE_TO_(VERIFY|GET)/;

/** Returns the code that Node has for a failed `fetch` or socket; null in a page. */
export function causeCode(error: unknown): string | null {
  for (let at = error, depth = 0; at instanceof Object && depth < 5; depth++) {
    const { code, cause, errors } = at as { code?: unknown; cause?: unknown; errors?: unknown };
    if (typeof code === "string" && code !== "") return code;
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
  const page = (globalThis as { location?: { protocol?: string } }).location?.protocol;
  const options = { cause: socketError };
  if (page === "https:" && !tls) {
    const said = `A page that came by https: may not use ${http}; give the gateway https:.`;
    return new WrongSchemeError(said, "wrong_scheme", options);
  }
  const wrongScheme = () => {
    const [has, wants] = tls ? ["https: or wss:", "http: or ws:"] : ["http: or ws:", "https: or wss:"];
    const said = `${http} does not speak ${tls ? "TLS" : "plain HTTP"}: \`baseURL\` has ${has}, and the server wants ${wants}.`;
    return new WrongSchemeError(said, "wrong_scheme", options);
  };
  const found = await probe(http, own);
  if (found.answers && found.status !== 400) {
    const said = `${http} answers HTTP and opens no WebSocket; does a proxy before it drop the Upgrade header?`;
    return new UpgradeError(said, "upgrade", options);
  }
  const code = found.code ?? causeCode(socketError);
  if (code === "ECONNREFUSED") {
    const said = `Nothing listens at ${http}: the connection was refused. Does the gateway run?`;
    return new ConnectionRefusedError(said, "refused", options);
  }
  if (code !== null && DNS.has(code)) {
    return new DNSError(`There is no such host: ${http}.`, "dns", options);
  }
  if (tls && code !== null && NO_TLS.test(code)) return wrongScheme();
  if (tls && code !== null && CERTIFICATE.test(code)) {
    const said = `The certificate of ${http} is not trusted (${code}).`;
    return new CertificateError(said, "certificate", options);
  }
  if (found.timedOut || (code !== null && TIMEOUTS.has(code))) {
    const said = `${http} does not answer; is a firewall in between?`;
    return new ConnectTimeoutError(said, "timeout", options);
  }
  const other = await probe(tls ? http.replace(/^https/, "http") : http.replace(/^http/, "https"), own);
  // A certificate that is not trusted shows TLS as well as one that is.
  if (other.answers || (!tls && other.code !== null && CERTIFICATE.test(other.code))) return wrongScheme();
  const hint = page === undefined ? (code ?? "no reason is known") : "the browser does not say why; see its console";
  return new ConnectionError(`No connection to ${http}: ${hint}.`, "unknown", options);
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
    // Without CORS a page learns that there is an answer, and no more; it is all that is asked.
    const response = await own(`${http}/healthz`, { mode: "no-cors", signal: stop.signal, cache: "no-store" });
    void response.body?.cancel();
    return { answers: true, status: response.status, code: null, timedOut: false };
  } catch (error) {
    return { answers: false, status: 0, code: causeCode(error), timedOut: stop.signal.aborted };
  } finally {
    clearTimeout(timer);
  }
}
