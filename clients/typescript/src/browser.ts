// The entry for pages: a key is exchanged for tickets, and the page's own server is the default.

import { Client } from "./client.js";
import type { ClientOptions, Platform } from "./client-options.js";
import { diagnosePage } from "./page-diagnosis.js";

export * from "./exports.js";

// At each of these the network may be back, and at the first it was away.
const WAKES = ["online", "pageshow"] as const;

const page = (): Platform => ({
  baseURL: globalThis.location?.origin,
  apiKey: undefined,
  tickets: true,
  pings: false,
  socket: () => Promise.resolve(globalThis.WebSocket),
  diagnose: diagnosePage,
  onWake(callback) {
    const wake = ({ type }: Event) => callback(type === "online");
    // What runs the pages' entry is not always a page.
    for (const type of WAKES) globalThis.addEventListener?.(type, wake);
    return () => {
      for (const type of WAKES) globalThis.removeEventListener?.(type, wake);
    };
  },
});

/** A client of one gateway, in a page. */
export class Tokenferry extends Client {
  constructor(options: ClientOptions = {}) {
    super(options, page());
  }
}

export default Tokenferry;
