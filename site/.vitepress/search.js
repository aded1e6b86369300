// How the local search cuts texts into words. VitePress carries both functions into the page as
// their source text, so each must stand alone.

/**
 * Cut a text for the index. Korean hangs particles on words and words on one another, so that a
 * word is also indexed from each of its later syllables on: "토스페이먼츠를" is found by "페이먼츠".
 */
export function indexWords(text) {
  const found = [];
  for (const word of text.toLowerCase().match(/[\p{L}\p{M}\p{N}_]+/gu) ?? []) {
    found.push(word);
    const hangul = /[\uac00-\ud7a3]{3,}/.exec(word);
    // A word longer than this is no word; it would fill the index with its ends.
    for (let from = 1; hangul && from <= hangul[0].length - 2 && from < 12; from += 1) {
      found.push(word.slice(hangul.index + from));
    }
  }
  return found;
}

/** Cut what somebody searches for. */
export function queryWords(text) {
  return text.toLowerCase().match(/[\p{L}\p{M}\p{N}_]+/gu) ?? [];
}

export const SEARCH = {
  options: { tokenize: indexWords },
  searchOptions: {
    tokenize: queryWords,
    prefix: true,
    fuzzy: 0.2,
    combineWith: "AND",
    boost: { title: 4, titles: 2, text: 1 },
  },
};
