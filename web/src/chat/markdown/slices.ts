// How much of a long text is drawn in one frame.

// On a machine of 2026 it takes some 10 ms of a processor to read, lay out and paint so many
// characters; models write a hundredth of that in the time of a frame.
export const SLICE_CHARACTERS = 5_000;

/** Where the next part of a text ends of which so much is drawn: not between the halves of a character. */
export function nextEnd(text: string, drawn: number): number {
  const end = Math.min(drawn, text.length) + SLICE_CHARACTERS;
  if (end >= text.length) return text.length;
  const code = text.charCodeAt(end - 1);
  return code >= 0xd800 && code < 0xdc00 ? end + 1 : end;
}
