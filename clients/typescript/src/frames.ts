// Reading of the server's frames: every field is checked before it is believed.
//
// Source: spec/PROTOCOL.md, section 3.3. Numbers stay within 2^53 - 1 (RFC 8259, section 6).

import type { ErrorInfo, JsonObject, RateLimit } from "./events.js";

// The choices of one answer; OpenAI's `n` goes to 128. It bounds what a faulty index can cost.
const CHOICES_MAX = 128;
// A key has two limits; the server is not asked how many more it may invent.
const RATE_LIMITS_MAX = 16;

/** The server sent what is not the protocol; the message names the field, for who debugs. */
export class UnreadableFrame extends Error {}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Returns the object in a frame. */
export function parse(text: string): JsonObject {
  let frame: unknown;
  try {
    frame = JSON.parse(text);
  } catch {
    throw new UnreadableFrame("no JSON");
  }
  if (!isObject(frame)) throw new UnreadableFrame("no object");
  return frame;
}

/** Returns a number from 0. */
export function integer(frame: JsonObject, key: string): number {
  const value = frame[key];
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw new UnreadableFrame(key);
  }
  return value;
}

/** Returns a string. */
export function string(frame: JsonObject, key: string): string {
  const value = frame[key];
  if (typeof value !== "string") throw new UnreadableFrame(key);
  return value;
}

/** Returns an object. */
export function mapping(frame: JsonObject, key: string): JsonObject {
  const value = frame[key];
  if (!isObject(value)) throw new UnreadableFrame(key);
  return value;
}

/** Reads a field that may be null or missing. */
export function optional<T>(
  read: (frame: JsonObject, key: string) => T,
  frame: JsonObject,
  key: string,
): T | null {
  return (frame[key] ?? null) === null ? null : read(frame, key);
}

/** Returns the error in a frame. */
export function errorInfo(frame: JsonObject): ErrorInfo {
  const error = mapping(frame, "error");
  return {
    code: string(error, "code"),
    message: optional(string, error, "message") ?? "",
    type: optional(string, error, "type") ?? "",
    param: optional(string, error, "param"),
    retryable: error["retryable"] === true,
  };
}

export interface Piece {
  readonly index: number;
  readonly delta: JsonObject;
  readonly text: string;
}

/** Returns choice, delta and text of a chunk; a chunk without a choice adds nothing. */
export function piece(frame: JsonObject): Piece {
  const choices = frame["choices"];
  if (!Array.isArray(choices) || choices.length === 0) return { index: 0, delta: {}, text: "" };
  const choice: unknown = choices[0];
  if (!isObject(choice)) throw new UnreadableFrame("choices");
  const delta = optional(mapping, choice, "delta") ?? {};
  const index = optional(integer, choice, "index") ?? 0;
  if (index >= CHOICES_MAX) throw new UnreadableFrame("index");
  return { index, delta, text: optional(string, delta, "content") ?? "" };
}

/** Returns how the key stands with its limits. */
export function rateLimits(frame: JsonObject): RateLimit[] {
  const value = frame["rate_limits"];
  if (!Array.isArray(value) || !value.every(isObject)) {
    throw new UnreadableFrame("rate_limits");
  }
  return value.slice(0, RATE_LIMITS_MAX).map((one) => ({
    name: string(one, "name"),
    limit: integer(one, "limit"),
    remaining: integer(one, "remaining"),
    resetMs: integer(one, "reset_ms"),
  }));
}

/** Returns the finish reasons of several choices; of one choice, nothing. */
export function reasons(frame: JsonObject): string[] {
  const value = frame["finish_reasons"] ?? null;
  if (value === null) return [];
  if (!Array.isArray(value) || !value.every((reason) => typeof reason === "string")) {
    throw new UnreadableFrame("finish_reasons");
  }
  return value;
}
