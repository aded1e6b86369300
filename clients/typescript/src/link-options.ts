// How a link behaves: what may be chosen, and the numbers that may not.
//
// Source: spec/PROTOCOL.md, section 6.

export const STREAMS_MAX = 1024;
// Section 6: the server's own default, until `ready` says otherwise.
export const HEARTBEAT_MS = 15_000;
export const HEARTBEAT_MS_MIN = 100;
export const HEARTBEAT_MS_MAX = 3_600_000;
// For the way there and back, and a busy machine at either end.
export const GRACE_MS = 5_000;
// A connection that lived this long was a good one, even if no record came: what ends it then is
// a new fault, not the old one again.
export const STABLE_MS = 10_000;

export interface LinkOptions {
  /** The key, to be sent in the first message; left out when it is in a header or a ticket. */
  readonly token?: string;
  /** Whether to authenticate with a ticket, got anew for each connection. */
  readonly ticket?: boolean;
  /** Whether to send `ping` after silence (the default); else to ask for the server's `hb`. */
  readonly pings?: boolean;
  /** Whether to tell what is no part of an answer: the line, the limits, the end of a replay. */
  readonly notices?: boolean;
  /** Connections that may fail in a row before the link gives up; 30. */
  readonly attemptsMax?: number;
  /** How long things may go wrong before the link gives up; five minutes. */
  readonly outageMsMax?: number;
  /** How often what has not begun is tried again, as long as no connection has held; no bound. */
  readonly maxRetries?: number;
  /** How long it may wait because the server says when to come back; no bound. */
  readonly waitMsMax?: number;
}
