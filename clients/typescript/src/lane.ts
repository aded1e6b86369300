// One stream on the way to its user, over any number of connections.
//
//     new ──create──▶ asked ──started──▶ live ◀──resumed, reset── asked ◀──resume── known
//                       │                  │  └──a gap: detach, resume──▶ asked
//                       └── connection lost: back to new or known; asked again on the next one
//
// Source: spec/PROTOCOL.md, section 5. Weakness: of a create whose answer was lost nobody knows
// whether it arrived; it is repeated with the same idempotency key, and it is the server that
// keeps that.

import { type Action, deliver, send } from "./actions.js";
import type { Done, ErrorInfo, Failed, JsonObject } from "./events.js";
import {
  UnreadableFrame,
  errorInfo,
  integer,
  mapping,
  mappings,
  optional,
  piece,
  reasons,
  string,
} from "./frames.js";
import { Trail } from "./trail.js";

// Gaps in a row, without one record that fits between them, that one connection may show. Nothing
// in order loses frames; more of them say that this connection will not get better.
const GAPS_MAX = 3;

/** What is asked of the server for a new stream. */
export interface Creation {
  readonly request: JsonObject;
  readonly idempotencyKey: string;
  readonly options?: JsonObject;
}

/** A stream that is there, and the position to follow it from. */
export interface Following {
  readonly streamId: string;
  readonly epoch: number;
  readonly after: number;
}

export class Lane {
  readonly ref: string;
  asked = false;
  ended = false;
  /** Whether nothing is to be received for now. */
  paused = false;
  streamId: string | null = null;
  #trail = new Trail();
  #creation: Creation | null = null;
  #live = false;
  #offered = false;
  #cancelled = false;
  #cancelSent = false;
  #left = false;
  #gaps = 0;

  constructor(ref: string, wanted: Creation | Following) {
    this.ref = ref;
    if ("streamId" in wanted) {
      this.streamId = wanted.streamId;
      this.#trail = new Trail(wanted.epoch, wanted.after);
    } else {
      this.#creation = wanted;
    }
  }

  /** Whether its user has let go of it. */
  get left(): boolean {
    return this.#left;
  }

  // -- the connection ---------------------------------------------------------------------------

  /** Asks the server for the stream, on a connection that does not have it yet. */
  ask(): Action[] {
    if (this.paused) return this.#sendCancel(); // nothing else is wanted of it for now
    if (this.#left && this.streamId !== null) {
      this.ended = true;
      return this.#sendCancel();
    }
    this.asked = true;
    if (this.streamId === null && this.#creation !== null) {
      this.#offered = true;
      return [this.#create(this.#creation)];
    }
    return [...this.#sendCancel(), this.#resume()];
  }

  /** Takes note that the connection, or what was asked on it, is lost. */
  cut(): void {
    this.asked = this.#live = this.#cancelSent = false;
    this.#gaps = 0;
    // A cancel that was not sent is all that is left to do of a stream that was let go.
    if (this.#left && !this.#cancelled) this.ended = true;
  }

  /** Ends the stream for the user. */
  fail(error: ErrorInfo, frame: JsonObject = {}): Action[] {
    return this.#end(
      failed(this.ref, error, this.streamId, this.#trail.epoch, this.#trail.seq, frame),
    );
  }

  // -- the user ---------------------------------------------------------------------------------

  /**
   * Ends the stream at the server; its terminal message is the answer. `usable` says whether the
   * connection takes messages: of a paused stream nothing is asked, and yet it can be cancelled.
   */
  cancel(usable: boolean): Action[] {
    this.#cancelled = true;
    if (this.streamId === null && !this.#offered) {
      return this.#end(done(this.ref));
    }
    return this.asked || (usable && this.paused) ? this.#sendCancel() : [];
  }

  /** Receives nothing for now; the position stays, and the next asking goes on there. */
  pause(): Action[] {
    if (this.paused || this.streamId === null) return [];
    this.paused = true;
    if (!this.asked) return [];
    this.asked = this.#live = false;
    return [this.#detach()];
  }

  /** Stops receiving; the stream goes on without this client. */
  detach(): Action[] {
    if (this.asked && this.streamId === null) {
      this.#left = true; // it has no name yet that could be detached from
      return [];
    }
    if (this.#cancelled && !this.#cancelSent) {
      this.#left = true; // as soon as there is a connection
      this.paused = false;
      return [];
    }
    this.ended = true;
    return this.asked ? [this.#detach()] : [];
  }

  // -- the server -------------------------------------------------------------------------------

  /** Takes a message of the stream; nothing follows from those of another type. */
  take(frame: JsonObject): Action[] {
    const { ref } = this;
    switch (frame["type"]) {
      case "resumed":
        return this.#resumed(frame);
      case "reset":
        return this.#reset(frame);
      case "chunk":
      case "done":
      case "error":
        return this.#record(frame, frame["type"] === "chunk");
      case "snapshot":
        return this.#snapshot(frame);
      case "queued": {
        const position = integer(frame, "position");
        const etaS = optional(integer, frame, "eta_s");
        return [deliver({ type: "queued", ref, position, etaS })];
      }
      case "caught_up":
        return [deliver({ type: "caught_up", ref, seq: integer(frame, "seq") })];
      default:
        return [];
    }
  }

  /** Takes the answer to `create`. */
  started(frame: JsonObject): Action[] {
    const streamId = string(frame, "stream_id");
    const epoch = integer(frame, "epoch");
    this.streamId = streamId;
    this.#trail = new Trail(epoch);
    this.#live = true;
    if (this.#left) {
      this.ended = true;
      return [...this.#sendCancel(), this.#detach()];
    }
    return [deliver({ type: "started", ref: this.ref, streamId, epoch }), ...this.#sendCancel()];
  }

  /** Takes the answer to `resume`: what follows, counts. */
  #resumed(frame: JsonObject): Action[] {
    const after = integer(frame, "from");
    const head = integer(frame, "head");
    if (integer(frame, "epoch") !== this.#trail.epoch || after > this.#trail.seq) {
      throw new UnreadableFrame("resumed");
    }
    this.#live = true;
    const over = frame["state"] === "done" && head > 0 && head === this.#trail.seq;
    if (!over || this.#trail.steps.length > 0) return [];
    // Nothing would come, because the user had the terminal message; but how the stream ended is
    // what a follower waits for.
    this.#trail = new Trail(this.#trail.epoch, head - 1);
    return this.#askAnew();
  }

  /** Drops what the stream's new owner has not found. */
  #reset(frame: JsonObject): Action[] {
    const epoch = integer(frame, "epoch");
    const keepThrough = integer(frame, "keep_through");
    const reason = optional(string, frame, "reason") ?? "";
    if (epoch <= this.#trail.epoch) throw new UnreadableFrame("reset");
    const before = this.#trail.seq;
    this.#trail.rewind(epoch, Math.min(keepThrough, before));
    this.#live = true;
    const out: Action[] = [];
    const after = this.#trail.seq;
    if (after < before) {
      const texts = this.#trail.texts();
      const { ref } = this;
      out.push(deliver({ type: "rewind", ref, epoch, keepThrough: after, texts, reason }));
    }
    // What the server sends next fits on keepThrough; after a cut through a merged chunk less
    // than that is left.
    return after === keepThrough ? out : [...out, ...this.#askAnew()];
  }

  /** Takes a record, a run of them, or the last one: `done`, or an error with `done: true`. */
  #record(frame: JsonObject, isChunk: boolean): Action[] {
    const seq = integer(frame, "seq");
    const epoch = integer(frame, "epoch");
    const first = (isChunk ? optional(integer, frame, "from") : null) ?? seq;
    const { index, delta, text } = piece(isChunk ? frame : {});
    const fit = this.#trail.fit(epoch, first, seq);
    // What is known, or of another asking, is not answered.
    if (!this.#live || fit === "known") return [];
    if (fit === "gap") {
      if (++this.#gaps > GAPS_MAX) throw new UnreadableFrame("seq");
      return this.#askAnew();
    }
    this.#gaps = 0;
    if (!isChunk) return this.#last(frame, epoch, seq);
    this.#trail.add([seq, index, text]);
    return [deliver({ type: "chunk", ref: this.ref, text, delta, index, epoch, seq })];
  }

  /** Takes the whole answer in place of its records. */
  #snapshot(frame: JsonObject): Action[] {
    const epoch = integer(frame, "epoch");
    const through = integer(frame, "through");
    const message = mapping(frame, "message");
    const messages = optional(mappings, frame, "messages") ?? [];
    const told = deliver({ type: "snapshot", ref: this.ref, epoch, through, message, messages });
    return [told, ...this.#last(frame, epoch, through)];
  }

  // -- both -------------------------------------------------------------------------------------

  /** Ends the stream as a frame says; the text of an answer that failed may be kept as well. */
  #last(frame: JsonObject, epoch: number, seq: number): Action[] {
    const failed = frame["type"] === "error" || (frame["error"] ?? null) !== null;
    if (failed) return this.fail(errorInfo(frame), frame);
    return this.#end(done(this.ref, frame, epoch, seq));
  }

  /** Asks at what the client has; a connection that follows the stream must first let go. */
  #askAnew(): Action[] {
    this.#live = false;
    return [this.#detach(), this.#resume()];
  }

  #end(event: Done | Failed): Action[] {
    this.ended = true;
    return this.#left ? [] : [deliver(event)];
  }

  #sendCancel(): Action[] {
    if (!this.#cancelled || this.#cancelSent || this.streamId === null) return [];
    this.#cancelSent = true;
    return [send({ type: "cancel", stream_id: this.streamId })];
  }

  #create({ request, idempotencyKey, options }: Creation): Action {
    return send({
      type: "create",
      ref: this.ref,
      idempotency_key: idempotencyKey,
      // The pieces are the point; without this the server would send the whole at the end.
      request: { ...request, stream: true },
      ...(options === undefined ? {} : { options }),
    });
  }

  #resume(): Action {
    const { epoch, seq: after } = this.#trail;
    return send({ type: "resume", ref: this.ref, stream_id: this.streamId, epoch, after });
  }

  #detach(): Action {
    return send({ type: "detach", stream_id: this.streamId });
  }
}

/** Returns the event of a good end; `frame` is the terminal message, without which it never began. */
export function done(
  ref: string,
  frame: JsonObject = { finish_reason: "cancelled" },
  epoch = 0,
  seq = 0,
): Done {
  return {
    type: "done",
    ref,
    finishReason: string(frame, "finish_reason"),
    finishReasons: reasons(frame),
    ...spent(frame),
    notice: optional(mapping, frame, "notice"),
    epoch,
    seq,
  };
}

/** Returns the event of a bad end; `frame` is what the error came in. */
export function failed(
  ref: string,
  error: ErrorInfo,
  streamId: string | null = null,
  epoch = 0,
  seq = 0,
  frame: JsonObject = {},
): Failed {
  return {
    type: "failed",
    ref,
    error,
    streamId,
    epoch,
    seq,
    ...spent(frame),
    state: optional(string, frame, "state"),
    limit: optional(mapping, frame, "limit"),
  };
}

const spent = (frame: JsonObject) => ({
  usage: optional(mapping, frame, "usage"),
  cost: optional(string, frame, "cost"),
  balance: optional(string, frame, "balance"),
});
