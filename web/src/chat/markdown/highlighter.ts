// The languages that are coloured. A file of its own, which is loaded when it is needed.
//
// Weakness: `_top`, by which highlight.js says where it has stopped, is in its types and not in its
// documentation; colours.test.ts would notice if it went away.

import core from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import c from "highlight.js/lib/languages/c";
import cpp from "highlight.js/lib/languages/cpp";
import csharp from "highlight.js/lib/languages/csharp";
import css from "highlight.js/lib/languages/css";
import diff from "highlight.js/lib/languages/diff";
import go from "highlight.js/lib/languages/go";
import java from "highlight.js/lib/languages/java";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import kotlin from "highlight.js/lib/languages/kotlin";
import php from "highlight.js/lib/languages/php";
import python from "highlight.js/lib/languages/python";
import rust from "highlight.js/lib/languages/rust";
import sql from "highlight.js/lib/languages/sql";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";
import type { Highlighted } from "./colours.js";
import { LineEmitter } from "./line_emitter.js";

const highlighter = core.newInstance();
highlighter.configure({ __emitter: LineEmitter });
const LANGUAGES = {
  bash,
  c,
  cpp,
  csharp,
  css,
  diff,
  go,
  java,
  javascript,
  json,
  kotlin,
  php,
  python,
  rust,
  sql,
  typescript,
  xml,
  yaml,
};
for (const [name, language] of Object.entries(LANGUAGES)) highlighter.registerLanguage(name, language);
// Beside the names that the languages bring along.
highlighter.registerAliases(["shell", "console"], { languageName: "bash" });
highlighter.registerAliases(["jsonc", "json5"], { languageName: "json" });
highlighter.registerAliases(["vue"], { languageName: "xml" });

export function isKnown(language: string): boolean {
  return highlighter.getLanguage(language) !== undefined;
}

/** The lines of a text with their colours. */
export function highlight(language: string, text: string): Highlighted {
  const { _emitter, _top } = highlighter.highlight(text, { language, ignoreIllegals: true });
  // Inside of something that is open, as a comment is, there is an outer mode.
  const isClosed = _top === undefined || !("parent" in _top);
  return { lines: (_emitter as LineEmitter).lines, isClosed };
}
