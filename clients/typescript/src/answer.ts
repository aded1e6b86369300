// What a reader has of one answer: text, reasoning and calls of tools, by choice, and the position
// that led there. It is kept so that a part of it can be taken back, and so that JSON keeps it.
//
// Source: spec/PROTOCOL.md, section 5. Weakness: one step a chunk is kept until the end; the
// server's limit on a stream's log bounds them.

import type { Chunk as ChunkEvent, JsonObject } from "./events.js";
import { isObject } from "./frames.js";
import { Trail } from "./trail.js";

/** A piece of one call of a tool; `arguments` are JSON once they are whole, or a custom tool's input. */
export interface ToolCallDelta {
  readonly index: number;
  /** In the first piece of a call; else empty. */
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
  /** There if the tool is one of OpenAI's custom tools: `arguments` are any text then. */
  readonly type?: "custom";
}

/** A call of a tool, as far as it has come. */
export interface ToolCall {
  id: string;
  name: string;
  arguments: string;
  type?: "custom";
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

/** Returns the pieces of calls of tools in a delta or a message. */
export function toolCallsOf(delta: JsonObject): ToolCallDelta[] {
  const calls = delta["tool_calls"];
  if (!Array.isArray(calls)) return [];
  return calls.filter(isObject).map((call, place) => {
    const { custom, function: made } = call;
    const tool = isObject(custom) ? custom : isObject(made) ? made : {};
    const index = call["index"];
    const isIndex = Number.isInteger(index) && Number(index) >= 0 && Number(index) < TOOL_CALLS_MAX;
    return {
      index: isIndex ? Number(index) : place,
      id: word(call, "id"),
      name: word(tool, "name"),
      arguments: word(tool, "arguments", "input"),
      ...(tool === custom && { type: "custom" }),
    };
  });
}

/** What a delta or a message adds to its choice. */
export interface Content {
  readonly text: string;
  readonly reasoning: string;
  readonly toolCalls: readonly ToolCallDelta[];
}

/** Returns what is in a delta or a message; a refusal is a text. */
export const contentOf = (delta: JsonObject, text = word(delta, "content")): Content => ({
  text: text + word(delta, "refusal"),
  reasoning: reasoningOf(delta),
  toolCalls: toolCallsOf(delta),
});

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
      call.name += piece.name;
      call.arguments += piece.arguments;
      if (piece.type) call.type = piece.type;
    }
  }
}

/** The trail of a whole stream, and what it makes. */
export class Answer extends Trail<Step> {
  readonly choices: Choice[] = [new Choice()];

  constructor(epoch = 1, seq = 0, steps: readonly Step[] = []) {
    super(epoch, steps.length > 0 ? 0 : seq);
    for (const step of steps) this.add(step);
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

  choice(index: number): Choice {
    while (this.choices.length <= index) this.choices.push(new Choice());
    return this.choices[index] as Choice;
  }

  /** Takes a chunk that fits. */
  apply({ seq, epoch, index, text, delta }: ChunkEvent): void {
    this.#take(epoch, seq, index, contentOf(delta, text));
  }

  override add(step: Step): void {
    const [, index, text, reasoning = "", toolCalls = []] = step;
    super.add(step);
    this.choice(index).add(text, reasoning, toolCalls);
  }

  /** Drops what is beyond `keepThrough`; all of it, if it is not known what led there. */
  override rewind(epoch: number, keepThrough: number): void {
    super.rewind(epoch, keepThrough < this.origin ? 0 : keepThrough);
    const { steps, choices } = this;
    const last = choices.length - 1;
    this.#clear();
    for (const step of steps) this.add(step);
    this.choice(last); // of which nothing may stand
  }

  /** Puts the whole answer in place of what there is: a message for each choice. */
  replace(epoch: number, through: number, ...messages: readonly JsonObject[]): void {
    this.#clear();
    messages.forEach((message, index) => this.#take(epoch, through, index, contentOf(message)));
  }

  #take(epoch: number, seq: number, index: number, { text, reasoning, toolCalls }: Content): void {
    this.epoch = epoch;
    if (toolCalls.length > 0) this.add([seq, index, text, reasoning, toolCalls]);
    else this.add(reasoning ? [seq, index, text, reasoning] : [seq, index, text]);
  }

  #clear(): void {
    this.choices.splice(0, this.choices.length, new Choice());
    this.steps = [];
  }
}
