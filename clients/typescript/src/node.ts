// The entry for Node: options come from the environment, and WebSocket from `ws` before Node 22.

import { type Address, readAddress } from "./address.js";
import { Client } from "./client.js";
import type { ClientOptions, Platform } from "./client-options.js";
import { askAgain, causeCode, diagnose } from "./diagnosis.js";
import type { Meaning } from "./endings.js";
import {
  ConfigurationError,
  ConnectionError,
  type TokenferryError,
  UpgradeError,
  WrongSchemeError,
  apiError,
} from "./errors.js";
import { ownError } from "./frames.js";
import { refused } from "./http.js";
import type { Ending, SocketConstructor } from "./socket.js";

export * from "./exports.js";

declare const process: { readonly env: Readonly<Record<string, string | undefined>> };

const WS = "ws"; // not a literal in `import`: types of it are not wanted, and it need not be there

async function loadSocket(): Promise<SocketConstructor> {
  if (globalThis.WebSocket !== undefined) return globalThis.WebSocket;
  try {
    return ((await import(WS)) as { WebSocket: SocketConstructor }).WebSocket;
  } catch (cause) {
    const error = new ConfigurationError(
      "Node before 22 has no WebSocket: `npm install ws`, or pass one as `WebSocket`.",
    );
    error.cause = cause;
    throw error;
  }
}

// Whoever answers these is another server than the gateway, or there is a proxy before it.
const NOT_ITS_OWN = [404, 426];

/**
 * Section 8 of the protocol, from how an upgrade was answered otherwise. Of that `ws` says the status
 * alone, and Node's own WebSocket nothing, not even a code; so the same is asked for once more.
 */
async function refusal(ending: Ending, http: string): Promise<Meaning | null> {
  const { error: cause, protocols } = ending;
  if (!(cause instanceof Error)) return null;
  const [, told] = /server response: (\d+)/.exec(cause.message) ?? [];
  if (told === undefined && causeCode(cause) !== null) return null;
  const answer = await askAgain(http, protocols);
  const status = told === undefined ? answer?.status : Number(told);
  if (status === undefined) return null;
  const location = answer?.headers.get("location");
  if (status < 400 && location) return [elsewhere(http, location, cause), null];
  const said = answer?.status === status ? refused(answer, answer.body) : null;
  const isOwn = said !== null && said.code !== `http_${status}` && !NOT_ITS_OWN.includes(status);
  return [isOwn ? said : foreign(http, status, cause, said?.retryAfterMs), closeCode(status)];
}

/** Returns the error for an address that leads to another one, as proxies do from http: to https:. */
function elsewhere(http: string, location: string, cause: unknown): TokenferryError {
  let to: URL;
  try {
    to = new URL(location, `${http}/`);
  } catch {
    return new UpgradeError(`${http} leads to what is no address.`, "upgrade", { cause });
  }
  const from = new URL(http);
  const base = to.href.replace(/\/v1\/stream\/?$/, "");
  const said = `${http} leads to ${base}: that may be what \`baseURL\` should be.`;
  return to.hostname === from.hostname && to.protocol !== from.protocol
    ? new WrongSchemeError(said, "wrong_scheme", { cause })
    : new UpgradeError(said, "upgrade", { cause });
}

/** Returns the error for what is not the gateway's own answer. */
function foreign(
  http: string,
  status: number,
  cause: unknown,
  retryAfterMs: number | null = null,
): TokenferryError {
  if (status === 429) {
    const said = `${http} takes no connection for now: HTTP 429, and not from the gateway itself.`;
    return apiError(ownError("http_429", said, "rate_limit_error", true, retryAfterMs));
  }
  // The gateway's own answer to what has lost its Upgrade header.
  const hint = status === 426 ? " Does a proxy drop the Upgrade header?" : "";
  const said = `${http} answers HTTP and opens no WebSocket: it says ${status}.${hint}`;
  return new UpgradeError(said, "upgrade", { cause });
}

function closeCode(status: number): number | null {
  if (status === 401) return 4001;
  if (status === 403) return 4003;
  if (status === 429) return 4029;
  return status === 408 || status >= 500 ? 1013 : null; // null: the client is at fault
}

const node = (): Platform => ({
  // Looked up only when they are not given: Deno asks its user about each.
  get baseURL() {
    return process.env["TOKENFERRY_BASE_URL"] || "http://localhost:8000";
  },
  get apiKey() {
    return process.env["TOKENFERRY_API_KEY"];
  },
  tickets: false,
  pings: true,
  socket: loadSocket,
  refusal,
  diagnose,
  onWake: () => () => {},
});

/** A client of one gateway, in Node. */
export class Tokenferry extends Client {
  constructor(options: ClientOptions = {}) {
    const platform = node();
    super(options, platform);
    const address = readAddress(options.baseURL ?? platform.baseURL ?? "");
    const own: typeof fetch = options.fetch ?? ((...given) => fetch(...given));
    for (const api of [this.models, this.streams]) explain(api, address, own);
  }
}

type Calls = Record<string, (...given: never[]) => Promise<unknown>>;

/** Has each of these calls say why there was no connection, as a stream does. */
function explain(api: object, address: Address, own: typeof fetch): void {
  for (const [name, call] of Object.entries(api as Calls)) {
    const explained: Calls[string] = (...given) =>
      call(...given).catch(async (error: unknown) => {
        if (!(error instanceof ConnectionError) || error.kind !== "unknown") throw error;
        const found = await diagnose(address, own, error.cause);
        // That HTTP gets through now does not say why it did not.
        throw found.kind === "upgrade" || found.kind === "unknown" ? error : found;
      });
    Object.assign(api, { [name]: explained });
  }
}

export default Tokenferry;
