// What a stream's user gets: chunks, the whole, and what happens on the way.

import {
  type Content,
  type Position,
  type ToolCall,
  type ToolCallDelta,
  contentOf,
} from "./answer.js";
import type { TokenferryError } from "./errors.js";
import type { Chunk as ChunkEvent, JsonObject, RateLimit, StreamEvent } from "./events.js";
import type { Usage } from "./requests.js";

// What an event takes beside its text.
const EVENT_BYTES = 200;

/** A piece of an answer. */
export interface Chunk {
  /** What it adds to the text of its choice, a refusal included; may be empty. */
  readonly text: string;
  readonly reasoning: string;
  readonly toolCalls: readonly ToolCallDelta[];
  /** The choice. */
  readonly index: number;
  /**
   * Whether it stands in place of everything before it of its choice, and why: the server lost
   * the end of what it had sent (`reset`), or keeps the whole alone (`snapshot`).
   */
  readonly replaces: "reset" | "snapshot" | null;
  /** OpenAI's delta as it came; empty if it replaces. */
  readonly delta: JsonObject;
  /** With the stream's id, the position to go on from. */
  readonly epoch: number;
  readonly seq: number;
}

/** A whole answer. */
export interface StreamResult {
  readonly streamId: string | null;
  readonly text: string;
  readonly reasoning: string;
  readonly toolCalls: readonly ToolCall[];
  /** The text of every choice. */
  readonly texts: readonly string[];
  /** `stop`, `length`, `tool_calls`, `content_filter` or `cancelled`. */
  readonly finishReason: string;
  readonly finishReasons: readonly string[];
  readonly usage: Usage | null;
  /** Decimal USD; null when no price is known. */
  readonly cost: string | null;
  readonly balance: string | null;
  readonly notice: JsonObject | null;
}

export interface StreamEvents {
  /** The gateway has begun; `position` is there from now on. */
  started: Position;
  /** It waits in the gateway's line for the provider. */
  queued: { position: number; etaS: number | null };
  /** It waits in this client's line, because the key is at a limit. */
  waiting: { waitMs: number; ahead: number; code: string };
  rateLimits: readonly RateLimit[];
  /** The connection is lost and will be tried again; the answer goes on at the gateway. */
  reconnecting: { attempt: number; waitMs: number; error: TokenferryError };
  /** What was missed is here; what follows is live. */
  caughtUp: { seq: number };
  /** Nothing more comes from the gateway; what has come may still be unread. */
  ended: { error: TokenferryError | null };
}

export const chunkOf = ({ text, delta, index, epoch, seq }: ChunkEvent): Chunk => ({
  ...contentOf(delta, text),
  index,
  replaces: null,
  delta,
  epoch,
  seq,
});

/** Returns about what an event takes in memory. */
export function bytesOf(event: StreamEvent): number {
  if (event.type !== "chunk") return EVENT_BYTES;
  const { text, reasoning, toolCalls }: Content = contentOf(event.delta, event.text);
  const calls = toolCalls.map((call) => call.arguments).join("");
  return EVENT_BYTES + 2 * (text + reasoning + calls).length;
}
