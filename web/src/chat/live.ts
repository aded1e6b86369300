// An answer that is being received, as the page shows it: drawn once a frame, however many pieces come.

import { batch, signal } from "@preact/signals";
import type { Stream } from "tokenferry";
import { nextFrame } from "./frames.js";

export type Phase =
  | { readonly kind: "connecting" | "waiting" | "answering" | "stopping" | "reconnecting" | "caughtUp" }
  | { readonly kind: "queued"; readonly ahead: number; readonly etaS: number | null };

const CAUGHT_UP_MS = 2_000;

export class Live {
  readonly text;
  readonly reasoning;
  readonly phase = signal<Phase>({ kind: "connecting" });
  readonly stream: Stream;
  isStopping = false;
  /** Whether what comes is new, and not what was missed: only then times mean something. */
  isWatched: boolean;
  readonly #isAgain: boolean;
  #waiting = false;
  #timer = 0;

  /** @param isAgain Whether an earlier page may have asked for it, under the same name. */
  constructor(stream: Stream, isAgain = false) {
    this.stream = stream;
    this.#isAgain = isAgain;
    this.text = signal(stream.answer.text);
    this.reasoning = signal(stream.answer.reasoning);
    this.isWatched = stream.id === null;
    if (stream.id !== null) this.phase.value = { kind: "reconnecting" };
    stream.on("started", () => this.become({ kind: "waiting" }));
    stream.on("queued", ({ position, etaS }) => this.become({ kind: "queued", ahead: position, etaS }));
    stream.on("reconnecting", () => {
      this.isWatched = false;
      this.become({ kind: "reconnecting" });
    });
    stream.on("caughtUp", () => this.#caughtUp());
  }

  /** What is received now, also what is not drawn yet. */
  get hasText(): boolean {
    const { text, reasoning } = this.stream.answer;
    return text !== "" || reasoning !== "";
  }

  become(phase: Phase): void {
    // Until the server has confirmed the stop, nothing else is to be said.
    if (this.isStopping && phase.kind !== "reconnecting") return;
    clearTimeout(this.#timer);
    this.phase.value = phase;
  }

  /** Takes note that a piece has come; it is drawn with the next frame. */
  changed(): void {
    const { kind } = this.phase.peek();
    if (this.hasText && kind !== "answering" && kind !== "caughtUp") this.become({ kind: "answering" });
    if (this.#waiting) return;
    this.#waiting = true;
    nextFrame(() => {
      if (this.#waiting) this.draw();
    });
  }

  draw(): void {
    this.#waiting = false;
    const { text, reasoning } = this.stream.answer;
    batch(() => {
      this.text.value = text;
      this.reasoning.value = reasoning;
    });
  }

  stop(): void {
    if (this.isStopping) return;
    this.become({ kind: "stopping" });
    this.isStopping = true;
    // The client only forgets what it has not sent yet; at the server it may be under way for long.
    if (this.#isAgain && this.stream.id === null) this.stream.on("started", () => void this.stream.cancel());
    else void this.stream.cancel();
  }

  #caughtUp(): void {
    if (!this.stream.ended) this.isWatched = true;
    if (this.isStopping) this.phase.value = { kind: "stopping" };
    this.become({ kind: "caughtUp" });
    this.#timer = window.setTimeout(() => this.become({ kind: this.hasText ? "answering" : "waiting" }), CAUGHT_UP_MS);
  }
}
