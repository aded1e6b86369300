// Code in colours: lines of pieces, each with the name of its class. The highlighter is loaded when
// the first code block comes.

import type { Root, RootContent } from "hast";

/** Beyond this no code is coloured: it would hold the page up. */
export const COLOURED_CHARACTERS_MAX = 60_000;

export interface Piece {
  readonly name: string;
  readonly text: string;
}

export type Line = readonly Piece[];

export type Colouring = (lang: string, text: string) => readonly Line[] | null;

let loading: Promise<Colouring> | null = null;

export function loadColouring(): Promise<Colouring> {
  loading ??= import("./highlighter.js").then(({ tree }) => (lang, text) => {
    const root = tree(lang, text);
    return root === null ? null : linesOf(root);
  });
  loading.catch(() => (loading = null)); // without the network; the next block asks again
  return loading;
}

/** Cuts a tree into lines; a piece that goes over several lines is cut as well. */
export function linesOf(root: Root): readonly Line[] {
  const lines: Piece[][] = [[]];
  const walk = (nodes: readonly RootContent[], name: string): void => {
    for (const node of nodes) {
      if (node.type === "text") {
        node.value.split("\n").forEach((text, index) => {
          if (index > 0) lines.push([]);
          if (text !== "") lines.at(-1)!.push({ name, text });
        });
      } else if (node.type === "element") {
        const own = node.properties["className"];
        walk(node.children, Array.isArray(own) ? own.join(" ") : name);
      }
    }
  };
  walk(root.children, "");
  return lines;
}
