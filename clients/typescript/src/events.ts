// What the user of a stream is told. Every event names its stream by `ref`, the client's own id.
// Source: spec/PROTOCOL.md, sections 3.3 and 5.

/** A JSON object whose keys nobody has checked. */
export type JsonObject = { [key: string]: unknown };

/**
 * An error, the server's or the client's own. The client's own codes are `connection_lost` (it
 * gave up), `connection_closed` (the server closed with a code that says not to come back),
 * `client_closed` and `already_followed`.
 */
export interface ErrorInfo {
  readonly code: string;
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
  readonly retryable: boolean;
  /** How long to wait before another try, where that was said. */
  readonly retryAfterMs: number | null;
}

/** The stream exists; with these three it can be followed from anywhere. */
export interface Started {
  readonly type: "started";
  readonly ref: string;
  readonly streamId: string;
  readonly epoch: number;
}

/** A piece of the answer; (`epoch`, `seq`) is the position to go on from. */
export interface Chunk {
  readonly type: "chunk";
  readonly ref: string;
  /** What it adds to the text of its choice; may be empty. */
  readonly text: string;
  /** The whole delta: role, reasoning, tool calls. */
  readonly delta: JsonObject;
  /** The choice. */
  readonly index: number;
  readonly epoch: number;
  readonly seq: number;
}

/** The server has lost what came after `keepThrough`: drop it; another rest follows. */
export interface Rewind {
  readonly type: "rewind";
  readonly ref: string;
  readonly epoch: number;
  readonly keepThrough: number;
  /** What stands of the text that was told since the following began: one for each choice. */
  readonly texts: readonly string[];
  readonly reason: string;
}

/** The whole answer, in place of everything before; `done` comes next. */
export interface Snapshot {
  readonly type: "snapshot";
  readonly ref: string;
  readonly epoch: number;
  readonly through: number;
  /** Of the first choice. */
  readonly message: JsonObject;
  /** Of all choices where there are several; else empty. */
  readonly messages: readonly JsonObject[];
}

/** The stream has ended well, or was cancelled; nothing follows. */
export interface Done {
  readonly type: "done";
  readonly ref: string;
  readonly finishReason: string;
  /** Of several choices; of one, empty. */
  readonly finishReasons: readonly string[];
  readonly usage: JsonObject | null;
  readonly cost: string | null;
  /** The account's credit after the cost, in decimal USD. */
  readonly balance: string | null;
  /** Like an error, beside a regular end: `credit_used_up` says why it is short. */
  readonly notice: JsonObject | null;
  readonly epoch: number;
  readonly seq: number;
}

/** The stream has ended badly, or cannot be followed any further; nothing follows. */
export interface Failed {
  readonly type: "failed";
  readonly ref: string;
  readonly error: ErrorInfo;
  /** The stream, if there is one; (`epoch`, `seq`) is how far the client got in it. */
  readonly streamId: string | null;
  readonly epoch: number;
  readonly seq: number;
  readonly usage: JsonObject | null;
  readonly cost: string | null;
  /** Of an expired stream: how it ended. */
  readonly state: string | null;
  /** Which limit it was. */
  readonly limit: JsonObject | null;
  readonly balance: string | null;
}

/** The stream waits in the gateway's line for its provider. */
export interface Queued {
  readonly type: "queued";
  readonly ref: string;
  /** How many are in front. */
  readonly position: number;
  /** How long that may take; null if the server cannot say. */
  readonly etaS: number | null;
}

/** What was missed has been received; what follows is live. */
export interface CaughtUp {
  readonly type: "caught_up";
  readonly ref: string;
  readonly seq: number;
}

/** One limit of the key. */
export interface RateLimit {
  /** `requests` or `tokens`, of a minute. */
  readonly name: string;
  readonly limit: number;
  readonly remaining: number;
  /** Until all of it is free again. */
  readonly resetMs: number;
}

/** How the key stands with its limits, this request taken off. */
export interface RateLimits {
  readonly type: "rate_limits";
  readonly ref: string;
  readonly limits: readonly RateLimit[];
}

/** What is no part of the answer; told when the link was made with `notices`. */
export type Notice = Queued | CaughtUp | RateLimits;

export type StreamEvent = Started | Chunk | Rewind | Snapshot | Done | Failed | Notice;
