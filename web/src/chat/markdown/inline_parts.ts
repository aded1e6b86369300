// Where a long run of text is cut before its marks are read. Each mark that may open something looks
// for its end among all that follow: with some thousands of them in one paragraph that takes seconds.
//
// Weakness: what begins before a cut and ends behind it is shown with its marks. A cut is where
// nothing seems to be open, and hardly anyone writes as much without an empty line.

/** As long as a part may be. */
export const PART_CHARACTERS = 8_000;
/** As many marks are read together, however close they are: bold words, one after the other. */
export const PART_MARKS = 64;
/**
 * What the marks of a part may cost for each of its characters, where they cost the square of their
 * number: 250 marks in 2,000 characters. Text with a bold word and a piece of code in each line has
 * half of that.
 */
export const COST_PER_CHARACTER = 32;

const MARKS: ReadonlySet<string> = new Set("*_~`[]<!");
const SENTENCE_END: ReadonlySet<string> = new Set(".!?。…:;");

/** The parts of a text in their order; those before the last do not change when it grows. */
export function parts(text: string): string[] {
  const all: string[] = [];
  for (let from = 0; from < text.length;) {
    const end = partEnd(text, from);
    all.push(text.slice(from, end));
    from = end;
  }
  return all;
}

function partEnd(text: string, from: number): number {
  const most = affordableEnd(text, from);
  return most === text.length ? most : goodEnd(text, from, most);
}

/** Where a part has to end at the latest. */
function affordableEnd(text: string, from: number): number {
  const most = Math.min(text.length, from + PART_CHARACTERS);
  let marks = 0;
  for (let at = from; at < most; at++) {
    if (!MARKS.has(text[at]!)) continue;
    marks += 1;
    if (marks > PART_MARKS && marks * marks > COST_PER_CHARACTER * (at - from)) return at;
  }
  return most;
}

/** The best place to end at in the second half: before a line, behind a sentence, or between two words. */
function goodEnd(text: string, from: number, most: number): number {
  const half = from + ((most - from) >> 1);
  const ends = [0, 0, 0, 0, 0, 0]; // the better, the further at the front
  const open = new Open();
  for (let at = from; at < most; at++) {
    const character = text[at]!;
    if (at > half && (character === "\n" || character === " ")) {
      const kind = character === "\n" ? 0 : SENTENCE_END.has(text[at - 1]!) ? 1 : 2;
      ends[open.isOpen ? kind + 3 : kind] = at;
    }
    open.take(character, text[at - 1]);
  }
  const end = ends.find((each) => each > 0) ?? most;
  const code = text.charCodeAt(end);
  // Not between the halves of a character.
  return code >= 0xdc00 && code < 0xe000 && end > from + 1 ? end - 1 : end;
}

/** Whether something seems to be open: a piece of code, bold, or the text of a link. Neither exact nor dear. */
class Open {
  #ticks = 0;
  #bold = 0;
  #brackets = 0;

  get isOpen(): boolean {
    return this.#ticks % 2 !== 0 || this.#bold % 2 !== 0 || this.#brackets > 0;
  }

  take(character: string, before: string | undefined): void {
    if (character === "`") this.#ticks += 1;
    else if (character === "*" && before === "*") this.#bold += 1;
    else if (character === "[") this.#brackets += 1;
    else if (character === "]") this.#brackets = Math.max(0, this.#brackets - 1);
  }
}
