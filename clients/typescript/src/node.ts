// The entry for Node: options come from the environment, and WebSocket from `ws` before Node 22.

import { Client } from "./client.js";
import type { ClientOptions, Platform } from "./client-options.js";
import { diagnose } from "./diagnosis.js";
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

/** Section 8 of the protocol, from what `ws` says of an upgrade that was answered otherwise. */
function refusal(cause: unknown, http: string): Meaning | null {
  const { message } = (cause ?? {}) as Error;
  const [, text] = /server response: (\d+)/.exec(message) ?? [];
  if (text === undefined) return null;
  const said = `${http} answers HTTP and opens no WebSocket: ${message}`;
  return [new UpgradeError(said, "upgrade", { cause }), closeCode(Number(text))];
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
