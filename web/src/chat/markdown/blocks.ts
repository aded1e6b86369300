// The blocks of an answer while it grows. What cannot change any more is kept, and only the tail
// is read again: with every flush all of it would take longer and longer.
//
// Source: CommonMark 0.31, section 3 (a block is closed by what follows it). Weakness: a list or a
// table is one block, so that one of a hundred kilobytes comes in steps, each of which reads all of
// it; a reference to a link that is defined further down is resolved at the end, which reads all.

import { Marked, type Token, type Tokens } from "marked";
import { koreanBold } from "./korean_bold.js";
import { ShallowLexer } from "./shallow_lexer.js";

const marked = new Marked({ gfm: true, breaks: true, extensions: [koreanBold] });

// What may still become something else: a paragraph a heading, a list a looser one.
const OPEN_BLOCKS = 2;
const FENCE = /^ {0,3}(`{3,}|~{3,})[ \t]*([^\n]*)\n/;
// Of the time, reading again what was read already takes one part in so many.
const TIME_SHARE = 5;

/** A code block; `open` while its end has not come. */
export interface CodeToken extends Tokens.Code {
  readonly open?: boolean;
}

interface Fence {
  readonly mark: string;
  readonly lang: string;
  /** Where its text begins. */
  readonly from: number;
  /** The first line that was not looked at for the end. */
  next: number;
}

export class Blocks {
  /** How many characters were read as Markdown so far: what the work is proportional to. */
  readCharacters = 0;
  /** Whether there is text that was not read yet, since the blocks were just read: they are to be asked again soon. */
  isBehind = false;
  readonly #now: () => number;
  #notBeforeMs = 0;
  #readUntil = 0; // of the text
  #settled: Token[] = [];
  #tail: Token[] = [];
  #source = "";
  #from = 0; // of the tail
  #fence: Fence | null = null;
  // Addresses for references: a block before them means something else than when it was read.
  #hasDefinitions = false;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Takes the whole text as it is now, and returns its blocks; those that are unchanged are the same objects. */
  update(text: string, isWhole: boolean): readonly Token[] {
    const source = text.includes("\r") ? text.replace(/\r\n?/g, "\n") : text;
    if (!source.startsWith(this.#source)) this.#clear();
    this.#source = source;
    this.isBehind = false;
    if (isWhole) return this.#end();
    if (this.#fence !== null && this.#inFence(this.#fence)) return this.#all();
    if (this.#readUntil === source.length) return this.#all();
    if (this.#isDue()) this.#readTail();
    else this.isBehind = true;
    return this.#all();
  }

  /** At once when most of it is new; otherwise after a time, which is the longer the more there is to read again. */
  #isDue(): boolean {
    const isNew = this.#source.length - this.#readUntil >= this.#readUntil - this.#from;
    return isNew || this.#now() >= this.#notBeforeMs;
  }

  #readTail(): void {
    const beganMs = this.#now();
    const tail = this.#read(this.#source.slice(this.#from));
    this.#tail = reuse(this.#tail, tail);
    this.#settle();
    this.#readUntil = this.#source.length;
    const endedMs = this.#now();
    this.#notBeforeMs = endedMs + (endedMs - beganMs) * (TIME_SHARE - 1);
  }

  /** What is drawn: the space between blocks is cut otherwise when all is read at once. */
  #all(): readonly Token[] {
    return [...this.#settled, ...this.#tail].filter(isDrawn);
  }

  #read(source: string): Token[] {
    this.readCharacters += source.length;
    const tokens = new ShallowLexer(marked.defaults).lex(source);
    this.#hasDefinitions ||= Object.keys(tokens.links).length > 0;
    return tokens;
  }

  /** Reads what may have become something else since it was read; all of it only for definitions. */
  #end(): readonly Token[] {
    const rest = this.#read(this.#source.slice(this.#from)).filter(isDrawn);
    if (this.#hasDefinitions) {
      const all = this.#read(this.#source).filter(isDrawn);
      // A block with brackets may mean something else, though it is written the same.
      this.#settled = reuse(this.#all(), all, (token) => !token.raw.includes("["));
    } else {
      this.#settled.push(...reuse(this.#tail.filter(isDrawn), rest));
    }
    this.#tail = [];
    this.#fence = null;
    this.#from = this.#source.length;
    return this.#all();
  }

  #clear(): void {
    this.#settled = [];
    this.#tail = [];
    this.#source = "";
    this.#from = 0;
    this.#readUntil = 0;
    this.#fence = null;
    this.#hasDefinitions = false;
  }

  /** Moves what is certain from the tail to the settled blocks. */
  #settle(): void {
    let count = 0;
    let open = 0;
    const last = this.#tail.at(-1);
    if (last?.type === "code" && isOpenFence(last.raw)) {
      count = this.#tail.length - 1;
    } else {
      for (count = this.#tail.length; count > 0 && open < OPEN_BLOCKS; count--) {
        if (this.#tail[count - 1]!.type !== "space") open += 1;
      }
    }
    const certain = this.#tail.slice(0, count);
    const length = certain.reduce((sum, token) => sum + token.raw.length, 0);
    // Where the blocks do not make up the text, nothing is certain.
    if (!this.#source.startsWith(certain.map((token) => token.raw).join(""), this.#from)) return;
    this.#settled.push(...certain);
    this.#tail.splice(0, count);
    this.#from += length;
    if (last?.type === "code" && isOpenFence(last.raw)) this.#open(last.raw);
  }

  #open(raw: string): void {
    const [head, mark, lang] = FENCE.exec(raw) as unknown as [string, string, string];
    const from = this.#from + head.length;
    this.#fence = { mark, lang: lang.trim(), from, next: from };
    this.#inFence(this.#fence);
  }

  /** Appends what has come to an open code block; returns false once its end has come. */
  #inFence(fence: Fence): boolean {
    const source = this.#source;
    const end = new RegExp(`^ {0,3}${fence.mark[0]}{${fence.mark.length},}[ \\t]*$`);
    for (;;) {
      const newline = source.indexOf("\n", fence.next);
      if (newline < 0) break;
      if (end.test(source.slice(fence.next, newline))) {
        this.#fence = null;
        return false;
      }
      fence.next = newline + 1;
    }
    // A line of nothing but marks may be the end that is just being written.
    const line = source.slice(fence.next);
    const until = /^ {0,3}[`~]+[ \t]*$/.test(line) ? fence.next : source.length;
    const text = source.slice(fence.from, until).replace(/\n$/, "");
    const token: CodeToken = { type: "code", raw: "", text, lang: fence.lang, open: true };
    this.#tail = [token];
    return true;
  }
}

function isOpenFence(raw: string): boolean {
  // In a line that does not end, the expression would look for its end from every mark.
  const match = raw.includes("\n") ? FENCE.exec(raw) : null;
  if (match === null) return false;
  const mark = match[1]!;
  const end = new RegExp(`\\n {0,3}${mark[0]}{${mark.length},}[ \\t]*\\n?$`);
  return !end.test(raw);
}

function isDrawn(token: Token): boolean {
  return token.type !== "space";
}

/** Takes the old object where a block has not changed, so that it is not drawn anew. */
function reuse(
  before: readonly Token[],
  now: readonly Token[],
  means: (token: Token) => boolean = () => true,
): Token[] {
  return now.map((token, index) => {
    const old = before[index];
    return old !== undefined && isSame(old, token) && means(token) ? old : token;
  });
}

function isSame(one: Token, other: Token): boolean {
  const [a, b] = [one as Tokens.Generic, other as Tokens.Generic];
  return a.type === b.type && a.raw === b.raw && a["text"] === b["text"];
}
