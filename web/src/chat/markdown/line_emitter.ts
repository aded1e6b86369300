// What the highlighter says of a text, as lines of pieces: each piece has the name of its class.
//
// Source: highlight.js 11, `Emitter` in types/index.d.ts, and its scopes ("title.function" has the
// classes `hljs-title function_`).

import type { Emitter } from "highlight.js";

export interface Piece {
  readonly name: string;
  readonly text: string;
}

export type Line = readonly Piece[];

const PREFIX = "hljs-";

export class LineEmitter implements Emitter {
  readonly lines: Piece[][] = [[]];
  #names = [""];

  addText(text: string): void {
    this.#add(text, this.#names.at(-1)!);
  }

  startScope(scope: string): void {
    this.#names.push(
      scope
        .split(".")
        .map((part, depth) => (depth === 0 ? PREFIX + part : part + "_".repeat(depth)))
        .join(" "),
    );
  }

  endScope(): void {
    this.#names.pop();
  }

  openNode(scope: string): void {
    this.startScope(scope);
  }

  closeNode(): void {
    this.endScope();
  }

  /** Takes what is in another language: a script in a page. */
  __addSublanguage(other: Emitter): void {
    (other as LineEmitter).lines.forEach((line, index) => {
      if (index > 0) this.lines.push([]);
      for (const { name, text } of line) this.#add(text, name);
    });
  }

  finalize(): void {
    // Nothing is left open that would have to be closed.
  }

  toHTML(): string {
    return "";
  }

  /** A piece that goes over several lines is cut. */
  #add(text: string, name: string): void {
    text.split("\n").forEach((part, index) => {
      if (index > 0) this.lines.push([]);
      if (part === "") return;
      const line = this.lines.at(-1)!;
      const last = line.at(-1);
      if (last?.name === name) line[line.length - 1] = { name, text: last.text + part };
      else line.push({ name, text: part });
    });
  }
}
