// The client's side of the protocol: frames and the passing of time in, actions out. No I/O.
//
//     idle ──a stream is wanted──▶ dialling ──opened──▶ open ──closed──▶ dialling, or idle when no
//                                     ▲                  │               stream is left or allowed
//                                     └── silence, or an unreadable frame: closed by the client
//
// Source: spec/PROTOCOL.md, sections 2 to 6; what goes in and comes out is written down case by
// case in spec/vectors. Weakness: it trusts its owner to carry actions out in order, and to report
// nothing of a socket after `close`.

import { type Action, deliver, send } from "./actions.js";
import { ABNORMAL, TOO_MANY_CONNECTIONS, delayMs, isFinal } from "./closing.js";
import type { ErrorInfo, JsonObject } from "./events.js";
import {
  UnreadableFrame,
  errorInfo,
  integer,
  optional,
  ownError,
  parse,
  rateLimits,
  string,
} from "./frames.js";
import { type Creation, type Following, Lane } from "./lane.js";
import { type LinkOptions, STABLE_MS, STREAMS_MAX } from "./link-options.js";
import { Pulse } from "./pulse.js";

export { STREAMS_MAX } from "./link-options.js";

const VERSION = 1;

// What the client closes with; browsers allow a page no others than 1000 and those from 3000.
const NORMAL = 1000;
const UNREADABLE = 4000;
const SILENT = 4108;

export type Phase = "idle" | "dialling" | "open";

const NOTICES: ReadonlySet<unknown> = new Set(["queued", "caught_up", "rate_limits"]);

const OFF: Action = { kind: "timer", inMs: null };

/**
 * One connection at a time, and the streams on it.
 *
 * Every input returns what is to be done. Times are of a monotonic clock; random bits are 32.
 */
export class Link {
  readonly #options: LinkOptions;
  readonly #pulse: Pulse;
  #lanes = new Map<string, Lane>();
  #phase: Phase = "idle";
  #attempts = 0;
  #outageSinceMs: number | null = null;
  #openedMs = 0;
  #ready = false;
  #leaving = false;
  #notBeforeMs = 0;
  #refusal: ErrorInfo | null = null;
  #connectionId: string | null = null;

  constructor(options: LinkOptions = {}) {
    this.#options = options;
    this.#pulse = new Pulse(options.pings ?? true);
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Whether streams can be asked for now. */
  get usable(): boolean {
    return this.ready && !this.#leaving;
  }

  /** Whether there is a connection, and the server has greeted it. */
  get ready(): boolean {
    return this.#phase === "open" && this.#ready;
  }

  /** What the server calls the last connection that held, null before there was one. Operators find it by that. */
  get connectionId(): string | null {
    return this.#connectionId;
  }

  // -- the user ---------------------------------------------------------------------------------

  /** Starts a stream; throws a RangeError if the ref is in use, or there are too many streams. */
  create(ref: string, creation: Creation, nowMs: number): Action[] {
    return this.#add(new Lane(ref, creation), nowMs);
  }

  /** Follows a stream from a position on; throws a RangeError if it is followed already, too. */
  follow(ref: string, following: Following, nowMs: number): Action[] {
    if (this.#ofStream(following.streamId)) throw new RangeError("the stream is followed already");
    return this.#add(new Lane(ref, following), nowMs);
  }

  /** Ends a stream; nothing happens to one that has ended. */
  cancel(ref: string, nowMs: number, randomBits: number): Action[] {
    return this.#ofUser(ref, (lane) => lane.cancel(this.usable), nowMs, randomBits);
  }

  /** Receives nothing of a stream for now: its user has not read what there is. */
  pause(ref: string, nowMs: number, randomBits: number): Action[] {
    return this.#ofUser(ref, (lane) => lane.pause(), nowMs, randomBits);
  }

  /** Goes on with a paused stream where it was left. */
  unpause(ref: string): Action[] {
    const lane = this.#lanes.get(ref);
    if (!lane?.paused) return [];
    lane.paused = false;
    return this.usable && !lane.asked ? lane.ask() : [];
  }

  /** Stops receiving a stream, which goes on; nothing happens to one that has ended. */
  detach(ref: string, nowMs: number, randomBits: number): Action[] {
    return this.#ofUser(ref, (lane) => lane.detach(), nowMs, randomBits);
  }

  /** Takes note that no attempt to connect can succeed: all streams fail. */
  refuse(error: ErrorInfo): Action[] {
    const out = this.#hangUp(NORMAL);
    this.#phase = "idle";
    return [...out, ...this.#giveUp(error)];
  }

  /** Lets everything go: streams that have not ended fail with `client_closed`. */
  close(): Action[] {
    return this.refuse(ownError("client_closed", "The client was closed."));
  }

  // -- the socket -------------------------------------------------------------------------------

  /** Takes note that the socket is open: the upgrade was answered. */
  opened(nowMs: number): Action[] {
    if (this.#phase !== "dialling") return [];
    this.#phase = "open";
    this.#openedMs = nowMs;
    this.#pulse.begin(nowMs);
    this.#leaving = this.#ready = false;
    // A server that refuses the key closes, and what is then under way to it can cost its reason:
    // a reset overtakes the close frame.
    const { token } = this.#options;
    const first = token === undefined ? this.#hello() : send({ type: "auth", token });
    return [first, this.#pulse.timer(nowMs)];
  }

  /**
   * Takes note that the socket has closed, or could not be opened (1006). `refusal` is what the
   * server said of it, if it did so outside of a message.
   */
  closed(
    code: number,
    nowMs: number,
    randomBits: number,
    refusal: ErrorInfo | null = null,
  ): Action[] {
    if (this.#phase === "idle") return [];
    this.#refusal ??= refusal; // a message says more than the code that came after it
    const out = this.#phase === "open" ? [OFF] : [];
    return [...out, ...this.#lost(code, nowMs, randomBits)];
  }

  /** Takes note that the timer has fired. */
  fired(nowMs: number, randomBits: number): Action[] {
    if (this.#phase !== "open") return [];
    return this.#pulse.fired(nowMs) ?? this.#drop(SILENT, nowMs, randomBits);
  }

  /** Takes note that the connection may be dead, though nobody was told: asks for a sign of life. */
  doubt(nowMs: number): Action[] {
    return this.ready ? this.#pulse.doubt(nowMs) : [];
  }

  /** Takes note that the network was away: whatever is open may be dead, and another is opened. */
  redial(nowMs: number, randomBits: number): Action[] {
    return this.#phase === "open" ? this.#drop(SILENT, nowMs, randomBits) : [];
  }

  /** Takes a text frame. */
  received(text: string, nowMs: number, randomBits: number): Action[] {
    if (this.#phase !== "open") return [];
    this.#pulse.heard(nowMs);
    let out: Action[];
    try {
      out = this.#take(parse(text), nowMs);
    } catch (error) {
      if (error instanceof UnreadableFrame) return this.#drop(UNREADABLE, nowMs, randomBits);
      throw error;
    }
    return [...out, ...this.#leaveIfFree(nowMs, randomBits)];
  }

  // -- frames -----------------------------------------------------------------------------------

  #take(frame: JsonObject, nowMs: number): Action[] {
    const kind = frame["type"];
    if (kind === "ready") return this.#onReady(frame, nowMs);
    if (kind === "started") return this.#onStarted(frame);
    if (kind === "going_away") {
      this.#leave(nowMs, integer(frame, "reconnect_after_ms"));
      return [];
    }
    if (kind === "error" && frame["done"] !== true) return this.#onRefusal(frame, nowMs);
    if (NOTICES.has(kind) && !this.#options.notices) return [];
    if (kind === "rate_limits") {
      const { ref } = frame;
      if (typeof ref !== "string") return [];
      return [deliver({ type: "rate_limits", ref, limits: rateLimits(frame) })];
    }
    const lane = this.#ofStream(frame["stream_id"]);
    return lane?.asked ? this.#settle(lane, lane.take(frame)) : [];
  }

  #onReady(frame: JsonObject, nowMs: number): Action[] {
    const heartbeatS = frame["heartbeat_s"];
    if (typeof heartbeatS !== "number") throw new UnreadableFrame("heartbeat_s");
    this.#connectionId = optional(string, frame, "connection_id");
    this.#pulse.expect(heartbeatS);
    return [...this.#askAll(), this.#pulse.timer(nowMs)];
  }

  /** Asks for every stream, once the connection is known to be good. */
  #askAll(): Action[] {
    if (this.#ready) return [];
    this.#ready = true;
    const out = this.#options.token === undefined ? [] : [this.#hello()];
    if (this.#leaving) return out;
    for (const lane of this.#lanes.values()) {
      out.push(...lane.ask());
      this.#sweep(lane);
    }
    return out;
  }

  #hello(): Action {
    const caps = (this.#options.pings ?? true) ? ["coalesce"] : ["coalesce", "hb"];
    return send({ type: "hello", version: VERSION, caps });
  }

  #onStarted(frame: JsonObject): Action[] {
    const lane = this.#ofRef(frame);
    if (!lane?.asked || lane.streamId !== null) return [];
    if (this.#ofStream(string(frame, "stream_id"))) {
      // Two creates with one idempotency key: the server sends the stream once only.
      const said = "This client follows the stream already.";
      return this.#settle(lane, lane.fail(ownError("already_followed", said)));
    }
    return this.#settle(lane, lane.started(frame));
  }

  /** Takes an error that ends no stream: a refused create or resume, or a connection's. */
  #onRefusal(frame: JsonObject, nowMs: number): Action[] {
    const error = errorInfo(frame);
    const lane = this.#ofRef(frame);
    if (!lane) {
      const ofConnection = (frame["stream_id"] ?? frame["ref"] ?? null) === null;
      if (ofConnection) this.#refusal = error; // why the server is about to close
      return [];
    }
    if (!lane.asked) return [];
    if (error.code === "server_draining" || (error.retryable && lane.streamId !== null)) {
      this.#leave(nowMs, optional(integer, frame, "retry_after_ms") ?? 0);
      lane.cut();
      this.#sweep(lane);
      return [];
    }
    return this.#settle(lane, lane.fail(error, frame));
  }

  /** Draws the conclusions from what a lane has made of a frame. */
  #settle(lane: Lane, out: Action[]): Action[] {
    this.#sweep(lane);
    const progress = out.some(
      (action) => action.kind === "deliver" && ["chunk", "started"].includes(action.event.type),
    );
    if (lane.ended || progress) this.#forgive();
    return out;
  }

  // -- coming and going -------------------------------------------------------------------------

  #add(lane: Lane, nowMs: number): Action[] {
    if (this.#lanes.has(lane.ref)) throw new RangeError("the ref is in use");
    if (this.#lanes.size >= STREAMS_MAX) {
      throw new RangeError(`a link has at most ${STREAMS_MAX} streams`);
    }
    this.#lanes.set(lane.ref, lane);
    if (this.#phase === "idle") return this.#dial(Math.max(0, this.#notBeforeMs - nowMs));
    return this.usable ? lane.ask() : [];
  }

  #ofUser(ref: string, act: (lane: Lane) => Action[], nowMs: number, randomBits: number): Action[] {
    const lane = this.#lanes.get(ref);
    if (!lane) return [];
    const out = act(lane);
    this.#sweep(lane);
    return [...out, ...this.#leaveIfFree(nowMs, randomBits)];
  }

  /** Asks for nothing new on this connection, and comes back when the server wants it. */
  #leave(nowMs: number, afterMs: number): void {
    this.#leaving = true;
    this.#notBeforeMs = nowMs + afterMs;
  }

  /** Closes a connection that the server wants to end, once no stream is on it. */
  #leaveIfFree(nowMs: number, randomBits: number): Action[] {
    if (this.#phase !== "open" || !this.#leaving) return [];
    for (const lane of this.#lanes.values()) if (lane.asked) return [];
    return this.#drop(NORMAL, nowMs, randomBits);
  }

  #drop(code: number, nowMs: number, randomBits: number): Action[] {
    return [...this.#hangUp(code), ...this.#lost(ABNORMAL, nowMs, randomBits)];
  }

  #hangUp(code: number): Action[] {
    return this.#phase === "idle" ? [] : [{ kind: "close", code }, OFF];
  }

  /** Goes on without the connection: comes back, gives up, or rests. */
  #lost(code: number, nowMs: number, randomBits: number): Action[] {
    const wasGood = this.#phase === "open" && nowMs - this.#openedMs >= STABLE_MS;
    this.#phase = "idle";
    if (wasGood || this.#lanes.size === 0) this.#forgive();
    for (const lane of [...this.#lanes.values()]) {
      lane.cut();
      this.#sweep(lane);
    }
    if (this.#lanes.size === 0) return [];
    if (isFinal(code)) {
      const said = `The server closed the connection with ${code}.`;
      return this.#giveUp(this.#refusal ?? ownError("connection_closed", said));
    }
    const afterMs = this.#refusal?.retryAfterMs ?? 0;
    const lastsMs = nowMs + afterMs - (this.#outageSinceMs ??= nowMs);
    const { attemptsMax = 30, outageMsMax = 300_000 } = this.#options;
    const { maxRetries = attemptsMax, waitMsMax = outageMsMax } = this.#options;
    const said = `No connection held, ${this.#attempts} attempts in a row.`;
    const lost = ownError("connection_lost", said, "", true);
    const isOver = this.#attempts >= attemptsMax || lastsMs >= outageMsMax;
    const isInVain = this.#attempts >= maxRetries || lastsMs > waitMsMax;
    const out: Action[] = [];
    // To a stream that it had, the client comes back, also when a limit is in the way.
    const held = this.#connectionId !== null;
    if (isInVain && (!held || code === TOO_MANY_CONNECTIONS))
      out.push(...this.#giveUp(this.#refusal ?? lost, held));
    if (isOver) out.push(...this.#giveUp(lost));
    if (this.#lanes.size === 0) return out;
    const waitMs = delayMs(code, this.#attempts++, randomBits);
    return [...out, ...this.#dial(Math.max(waitMs, afterMs, this.#notBeforeMs - nowMs))];
  }

  #dial(delayMs: number): Action[] {
    this.#phase = "dialling";
    this.#refusal = null; // what was said of the last connection is not true of this one
    const { ticket = false } = this.#options;
    return [{ kind: "connect", delayMs, ticket, attempt: this.#attempts }];
  }

  #sweep({ ref, ended }: Lane): void {
    if (ended) this.#lanes.delete(ref);
  }

  #forgive(): void {
    this.#attempts = 0;
    this.#outageSinceMs = null;
  }

  /** Gives up everything, or what has not begun. */
  #giveUp(error: ErrorInfo, newOnly = false): Action[] {
    const out: Action[] = [];
    for (const lane of this.#lanes.values()) {
      if (newOnly && lane.streamId !== null) continue;
      out.push(...lane.fail(error));
      this.#sweep(lane);
    }
    if (this.#lanes.size === 0) this.#forgive();
    return out;
  }

  #ofStream(streamId: unknown): Lane | undefined {
    for (const lane of this.#lanes.values()) {
      if (streamId && lane.streamId === streamId && !lane.left) return lane;
    }
    return undefined;
  }

  #ofRef(frame: JsonObject): Lane | undefined {
    return this.#lanes.get(frame["ref"] as string);
  }
}
