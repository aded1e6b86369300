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

type Reader<T> = (frame: JsonObject, key: string) => T;

/** Makes the function that returns a field, if it is what it should be. */
const reader =
  <T>(is: (value: unknown) => value is T): Reader<T> =>
  (frame, key) => {
    const value = frame[key];
    if (!is(value)) throw new UnreadableFrame(key);
    return value;
  };

const isString = (value: unknown): value is string => typeof value === "string";

const isList =
  <T>(is: (value: unknown) => value is T) =>
  (value: unknown): value is T[] =>
    Array.isArray(value) && value.every(is);

/** Returns a number from 0. */
export const integer = reader(
  (value): value is number => Number.isSafeInteger(value) && (value as number) >= 0,
);
export const string = reader(isString);
export const mapping = reader(isObject);
const strings = reader(isList(isString));
export const mappings = reader(isList(isObject));

/** Reads a field that may be null or missing. */
export const optional = <T>(read: Reader<T>, frame: JsonObject, key: string): T | null =>
  (frame[key] ?? null) === null ? null : read(frame, key);

/** Returns an error of the client's own, or one that the server told without a message. */
export const ownError = (
  code: string,
  message: string,
  type = "",
  retryable = false,
  retryAfterMs: number | null = null,
): ErrorInfo => ({ code, message, type, param: null, retryable, retryAfterMs });

/** Returns the error in a frame. */
export function errorInfo(frame: JsonObject): ErrorInfo {
  const error = mapping(frame, "error");
  return {
    code: string(error, "code"),
    message: optional(string, error, "message") ?? "",
    type: optional(string, error, "type") ?? "",
    param: optional(string, error, "param"),
    retryable: error["retryable"] === true,
    retryAfterMs: optional(integer, frame, "retry_after_ms"),
  };
}

export interface Piece {
  readonly index: number;
  readonly delta: JsonObject;
  readonly text: string;
}

/** Returns choice, delta and text of a chunk; a chunk without a choice adds nothing. */
export function piece(frame: JsonObject): Piece {
  const [choice = {}]: unknown[] = Array.isArray(frame["choices"]) ? frame["choices"] : [];
  if (!isObject(choice)) throw new UnreadableFrame("choices");
  const delta = optional(mapping, choice, "delta") ?? {};
  const index = optional(integer, choice, "index") ?? 0;
  if (index >= CHOICES_MAX) throw new UnreadableFrame("index");
  return { index, delta, text: optional(string, delta, "content") ?? "" };
}

/** Returns how the key stands with its limits. */
export const rateLimits = (frame: JsonObject): RateLimit[] =>
  mappings(frame, "rate_limits")
    .slice(0, RATE_LIMITS_MAX)
    .map((one) => ({
      name: string(one, "name"),
      limit: integer(one, "limit"),
      remaining: integer(one, "remaining"),
      resetMs: integer(one, "reset_ms"),
    }));

/** Returns the finish reasons of several choices; of one choice, nothing. */
export const reasons = (frame: JsonObject): string[] =>
  optional(strings, frame, "finish_reasons") ?? [];
