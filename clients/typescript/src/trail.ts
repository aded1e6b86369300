// What a client has of one stream: a position, and the text that led to it.
//
// Source: spec/PROTOCOL.md, section 5. A chunk is applied whole or not at all, and only if it
// begins where the last one ended. Weakness: the text is kept until the stream ends, for the case
// that part of it must be taken back; the server's limit on a stream's log bounds it.

/** How records fit behind what the client has. */
export type Fit = "next" | "known" | "gap";

interface Applied {
  readonly last: number;
  readonly index: number;
  readonly text: string;
}

/** The records that a client has applied, from a position on; epoch 0 is not known yet. */
export class Trail {
  #origin: number;
  #applied: Applied[] = [];
  #after: number;
  #epoch: number;

  constructor(epoch = 0, after = 0) {
    this.#epoch = epoch;
    this.#after = after;
    this.#origin = after;
  }

  get epoch(): number {
    return this.#epoch;
  }

  get after(): number {
    return this.#after;
  }

  /** Whether nothing has been applied. */
  get empty(): boolean {
    return this.#applied.length === 0;
  }

  /**
   * Says what is to be done with the records `first`..`last`. A merged chunk of which a part is
   * known is a gap: it cannot be split.
   */
  fit(epoch: number, first: number, last: number): Fit {
    if (epoch !== this.#epoch) return epoch < this.#epoch ? "known" : "gap";
    if (last <= this.#after) return "known";
    return first === this.#after + 1 ? "next" : "gap";
  }

  /** Takes the records up to `last`, which `fit`. */
  apply(last: number, index: number, text: string): void {
    this.#applied.push({ last, index, text });
    this.#after = last;
  }

  /**
   * Drops what is beyond `keepThrough`, and goes over to another epoch. Of a merged chunk that
   * reaches beyond, nothing stays; `after` then is less than `keepThrough`.
   */
  rewind(epoch: number, keepThrough: number): void {
    const beyond = this.#applied.findIndex((applied) => applied.last > keepThrough);
    if (beyond >= 0) this.#applied.length = beyond;
    this.#origin = Math.min(this.#origin, keepThrough);
    this.#after = this.#applied.at(-1)?.last ?? this.#origin;
    this.#epoch = epoch;
  }

  /** Returns the text of each choice, since the beginning of this trail. */
  texts(): string[] {
    const texts = [""];
    for (const { index, text } of this.#applied) {
      while (texts.length <= index) texts.push("");
      texts[index] += text;
    }
    return texts;
  }
}
