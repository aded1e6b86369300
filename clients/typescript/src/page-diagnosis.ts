// Why a page could make no connection: a browser does not say, so both schemes are asked by HTTP.
//
// Weakness: that there is an answer is all that can be learned, and what came by https: may not ask
// http: at all. The reasons that Node gives are in diagnosis.ts.

import type { Address } from "./address.js";
import { ConnectionError, UpgradeError, WrongSchemeError } from "./errors.js";

const PROBE_MS = 3_000;

export async function diagnosePage(
  { http }: Address,
  own: typeof fetch,
  cause: unknown,
): Promise<ConnectionError> {
  const tls = http.startsWith("https:");
  const wrong = (why: string) =>
    new WrongSchemeError(`${http} is the wrong scheme: ${why}.`, "wrong_scheme", { cause });
  if (!tls && globalThis.location?.protocol === "https:")
    return wrong("a page that came by https: may use no other");
  if (await answers(http, own)) {
    const said = `${http} answers HTTP and opens no WebSocket; does a proxy drop the Upgrade header?`;
    return new UpgradeError(said, "upgrade", { cause });
  }
  const other = tls ? "http:" : "https:";
  if (await answers(http.replace(/^https?:/, other), own)) return wrong(`it speaks ${other}`);
  const said = `No connection to ${http}; the browser's console says why.`;
  return new ConnectionError(said, "unknown", { cause });
}

const answers = (http: string, own: typeof fetch): Promise<boolean> =>
  own(`${http}/healthz`, { mode: "no-cors", signal: AbortSignal.timeout(PROBE_MS) }).then(
    () => true,
    () => false,
  );
