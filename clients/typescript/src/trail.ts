// What a client has of one stream: a position, and the text that led to it.
//
// Source: spec/PROTOCOL.md, section 5. A chunk is applied whole or not at all, and only if it
// begins where the last one ended. Weakness: the text is kept until the stream ends, for the case
// that part of it must be taken back; the server's limit on a stream's log bounds it.

/** How records fit behind what the client has. */
export type Fit = "next" | "known" | "gap";

/** The last seq of a chunk, its choice, what it added to the text, and what else is kept of it. */
export type TrailStep = readonly [seq: number, index: number, text: string, ...rest: unknown[]];

/** The records that a client has applied, from a position on; epoch 0 is not known yet. */
export class Trail<Step extends TrailStep = TrailStep> {
  epoch: number;
  /** How far it reaches. */
  seq: number;
  /** The chunks that led there. */
  steps: readonly Step[] = [];
  /** How many choices there were. */
  #choices = 1;
  /** Where it began. */
  protected origin: number;

  constructor(epoch = 0, seq = 0) {
    this.epoch = epoch;
    this.seq = this.origin = seq;
  }

  /**
   * Says what is to be done with the records `first`..`last`. A merged chunk of which a part is
   * known is a gap: it cannot be split.
   */
  fit(epoch: number, first: number, last: number): Fit {
    if (epoch !== this.epoch) return epoch < this.epoch ? "known" : "gap";
    if (last <= this.seq) return "known";
    return first === this.seq + 1 ? "next" : "gap";
  }

  /** Takes a chunk that fits. */
  add(step: Step): void {
    (this.steps as Step[]).push(step);
    this.#choices = Math.max(this.#choices, step[1] + 1);
    this.seq = step[0];
  }

  /**
   * Drops what is beyond `keepThrough`, and goes over to another epoch. Of a merged chunk that
   * reaches beyond, nothing stays; `seq` then is less than `keepThrough`.
   */
  rewind(epoch: number, keepThrough: number): void {
    this.steps = this.steps.filter(([seq]) => seq <= keepThrough);
    this.origin = Math.min(this.origin, keepThrough);
    this.seq = this.steps.at(-1)?.[0] ?? this.origin;
    this.epoch = epoch;
  }

  /** Returns the text of each choice, since the beginning of this trail; of some nothing may stand. */
  texts(): string[] {
    const texts = Array<string>(this.#choices).fill("");
    for (const [, index, text] of this.steps) texts[index] += text;
    return texts;
  }
}
