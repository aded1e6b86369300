// The languages that are coloured. A file of its own, which is loaded when it is needed.

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
import type { Root } from "hast";
import { createLowlight } from "lowlight";

const lowlight = createLowlight({
  bash, c, cpp, csharp, css, diff, go, java, javascript, json, kotlin, php, python, rust, sql, typescript, xml, yaml,
});
// Beside the names that the languages bring along.
lowlight.registerAlias({ bash: ["shell", "console"], json: ["jsonc", "json5"], xml: ["vue"] });

/** The text as a tree of classes; null if nobody knows the language. */
export function tree(lang: string, text: string): Root | null {
  return lowlight.registered(lang) ? lowlight.highlight(lang, text) : null;
}
