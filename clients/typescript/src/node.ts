// The entry for Node: options come from the environment, and WebSocket from `ws` before Node 22.

import { Client } from "./client.js";
import type { ClientOptions, Platform } from "./client-options.js";
import { causeCode, diagnose, upgradeStatus } from "./diagnosis.js";
import type { Meaning } from "./endings.js";
import { ConfigurationError, UpgradeError } from "./errors.js";
import type { SocketConstructor } from "./socket.js";

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

/**
 * Section 8 of the protocol, from how an upgrade was answered otherwise. `ws` says it; of an error of
 * Node's own WebSocket, which has neither a status nor a code, the same address is asked once more.
 */
async function refusal(cause: unknown, http: string): Promise<Meaning | null> {
  if (!(cause instanceof Error)) return null;
  const [, text] = /server response: (\d+)/.exec(cause.message) ?? [];
  if (text === undefined && causeCode(cause) !== null) return null;
  const status = text === undefined ? await upgradeStatus(http) : Number(text);
  if (status === null) return null;
  // The gateway's own answer to what has lost its Upgrade header.
  const hint = status === 426 ? " Does a proxy drop the Upgrade header?" : "";
  const said = `${http} answers HTTP and opens no WebSocket: it says ${status}.${hint}`;
  return [new UpgradeError(said, "upgrade", { cause }), closeCode(status)];
}

function closeCode(status: number): number | null {
  if (status === 401) return 4001;
  if (status === 403) return 4003;
  if (status === 429) return 4029;
  return status === 408 || status >= 500 ? 1013 : null; // null: the client is at fault
}

const node = (): Platform => ({
  baseURL: process.env["TOKENFERRY_BASE_URL"] || "http://localhost:8000",
  apiKey: process.env["TOKENFERRY_API_KEY"],
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
    super(options, node());
  }
}

export default Tokenferry;
