// The entry for pages: a key is exchanged for tickets, and the page's own server is the default.

import { Client } from "./client.js";
import type { ClientOptions, Platform } from "./client-options.js";
import { diagnosePage } from "./page-diagnosis.js";

export * from "./exports.js";

const WAKES = ["online", "pageshow"] as const;

const page = (): Platform => ({
  baseURL: globalThis.location?.origin,
  apiKey: undefined,
  tickets: true,
  pings: false,
  socket: () => Promise.resolve(globalThis.WebSocket),
  diagnose: diagnosePage,
  onWake(callback) {
    // What runs the pages' entry is not always a page.
    for (const wake of WAKES) globalThis.addEventListener?.(wake, callback);
    return () => {
      for (const wake of WAKES) globalThis.removeEventListener?.(wake, callback);
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
