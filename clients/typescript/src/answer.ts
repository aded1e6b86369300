// What a reader has of one answer: text, reasoning and calls of tools, by choice, and the position
// that led there. It is kept so that a part of it can be taken back, and so that JSON keeps it.
//
// Source: spec/PROTOCOL.md, section 5. Weakness: one step a chunk is kept until the end; the
// server's limit on a stream's log bounds them.

import type { Chunk as ChunkEvent, JsonObject } from "./events.js";
import { isObject } from "./frames.js";

/** A piece of one call of a tool; `arguments` are JSON once they are whole. */
export interface ToolCallDelta {
  readonly index: number;
  /** In the first piece of a call; else empty. */
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
}

/** A call of a tool, as far as it has come. */
export interface ToolCall {
  id: string;
  name: string;
  arguments: string;
}

/** How much of a stream somebody has; with it anybody who has the key goes on from there. */
export interface Position {
  readonly streamId: string;
  readonly epoch: number;
  readonly seq: number;
}

/** A position and what led to it: JSON, for a page's storage. */
export interface SavedStream extends Position {
  readonly idempotencyKey?: string;
  readonly steps?: readonly Step[];
}

/** One chunk: its last seq, its choice, and what it added. */
export type Step = readonly [
  seq: number,
  index: number,
  text: string,
  reasoning?: string,
  toolCalls?: readonly ToolCallDelta[],
];

// OpenAI's own limit of tools is 128; it bounds what a faulty index can cost.
const TOOL_CALLS_MAX = 1024;

const word = (values: JsonObject, ...keys: string[]): string => {
  for (const key of keys) {
    const value = values[key];
    if (typeof value === "string" && value !== "") return value;
  }
  return "";
};

/** Returns the text of the reasoning in a delta or a message. */
export const reasoningOf = (delta: JsonObject): string =>
  word(delta, "reasoning_content", "reasoning");

/** Returns the text of a message; of a refusal, that. */
export const textOf = (message: JsonObject): string =>
  word(message, "content") + word(message, "refusal");

/** Returns the pieces of calls of tools in a delta or a message. */
export function toolCallsOf(delta: JsonObject): ToolCallDelta[] {
  const calls = delta["tool_calls"];
  if (!Array.isArray(calls)) return [];
  return calls.filter(isObject).map((call, place) => {
    const made = isObject(call["function"]) ? call["function"] : {};
    const index = call["index"];
    const isIndex = Number.isInteger(index) && Number(index) >= 0 && Number(index) < TOOL_CALLS_MAX;
    return {
      index: isIndex ? Number(index) : place,
      id: word(call, "id"),
      name: word(made, "name"),
      arguments: word(made, "arguments"),
    };
  });
}

/** One choice of an answer. */
export class Choice {
  text = "";
  reasoning = "";
  toolCalls: ToolCall[] = [];

  add(text: string, reasoning: string, toolCalls: readonly ToolCallDelta[]): void {
    this.text += text;
    this.reasoning += reasoning;
    for (const piece of toolCalls) {
      const call = (this.toolCalls[piece.index] ??= { id: "", name: "", arguments: "" });
      call.id ||= piece.id;
      call.name ||= piece.name;
      call.arguments += piece.arguments;
    }
  }
}

export class Answer {
  readonly choices: Choice[] = [new Choice()];
  epoch: number;
  seq: number;
  #origin: number;
  #steps: Step[] = [];

  constructor(epoch = 1, seq = 0, steps: readonly Step[] = []) {
    this.epoch = epoch;
    this.#origin = steps.length > 0 ? 0 : seq;
    for (const step of steps) this.#add(step);
    this.seq = seq;
  }

  /** The text of the first choice. */
  get text(): string {
    return this.choice(0).text;
  }

  /** The reasoning of the first choice. */
  get reasoning(): string {
    return this.choice(0).reasoning;
  }

  /** The calls of tools of the first choice. */
  get toolCalls(): readonly ToolCall[] {
    return this.choice(0).toolCalls.filter(Boolean);
  }

  /** The chunks that led here. */
  get steps(): readonly Step[] {
    return this.#steps;
  }

  choice(index: number): Choice {
    while (this.choices.length <= index) this.choices.push(new Choice());
    return this.choices[index] as Choice;
  }

  /** Takes a chunk that fits. */
  apply({ seq, epoch, index, text, delta }: ChunkEvent): void {
    this.epoch = epoch;
    this.seq = seq;
    const [shown, reasoning, calls] = [
      text + word(delta, "refusal"),
      reasoningOf(delta),
      toolCallsOf(delta),
    ];
    if (calls.length > 0) this.#add([seq, index, shown, reasoning, calls]);
    else if (reasoning) this.#add([seq, index, shown, reasoning]);
    else this.#add([seq, index, shown]);
  }

  /**
   * Drops what is beyond `keepThrough`. Of a merged chunk that reaches beyond, nothing stays, nor
   * of an answer whose steps are not known: `seq` then is less than `keepThrough`.
   */
  rewind(epoch: number, keepThrough: number): void {
    this.epoch = epoch;
    const known = keepThrough >= this.#origin;
    if (!known) this.#origin = 0;
    const kept = known ? this.#steps.filter(([seq]) => seq <= keepThrough) : [];
    this.#clear();
    for (const step of kept) this.#add(step);
    this.seq = kept.at(-1)?.[0] ?? this.#origin;
  }

  /** Puts the whole answer in place of what there is. */
  replace(epoch: number, through: number, message: JsonObject): void {
    this.#clear();
    this.epoch = epoch;
    this.seq = through;
    this.#add([through, 0, textOf(message), reasoningOf(message), toolCallsOf(message)]);
  }

  #clear(): void {
    this.choices.splice(0, this.choices.length, new Choice());
    this.#steps = [];
  }

  #add(step: Step): void {
    const [, index, text, reasoning = "", toolCalls = []] = step;
    this.#steps.push(step);
    this.choice(index).add(text, reasoning, toolCalls);
  }
}
