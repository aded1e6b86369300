// What the link asks of whoever owns the socket and the clock. Order matters: actions are to be
// carried out one after the other, as they stand.

import type { JsonObject, StreamEvent } from "./events.js";

export type Action =
  /**
   * Open a socket after a delay; with a ticket, get one first and offer it as a subprotocol.
   * `opened` or `closed` is to be reported; a failure to connect is a `closed` with 1006.
   */
  | {
      readonly kind: "connect";
      readonly delayMs: number;
      readonly ticket: boolean;
      /** How many have failed since things went well, from 0. */
      readonly attempt: number;
    }
  /** Send a message as one text frame. */
  | { readonly kind: "send"; readonly message: JsonObject }
  /** Close the socket, and report nothing of it any more: not even that it has closed. */
  | { readonly kind: "close"; readonly code: number }
  /** Report `fired` after a while, in place of what was set before; null: never. */
  | { readonly kind: "timer"; readonly inMs: number | null }
  /** Tell the user. */
  | { readonly kind: "deliver"; readonly event: StreamEvent };

export const send = (message: JsonObject): Action => ({ kind: "send", message });

export const deliver = (event: StreamEvent): Action => ({ kind: "deliver", event });
