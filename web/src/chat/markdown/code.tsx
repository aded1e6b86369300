// A code block: its language, a button that copies it, and its lines. Colours come with finished
// lines, a few times a second, and never go away again.

import { Component, type VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { CopyButton } from "../copy_button.js";
import { t } from "../texts.js";
import { COLOURED_CHARACTERS_MAX, loadColouring, type Line } from "./colouring.js";

const COLOURING_MS = 250;
// The share of the time that colouring may take of a long block that is being written.
const COLOURING_SHARE = 12;
// Lines that are not coloured are drawn by so many together.
const LINES_TOGETHER = 50;

interface Coloured {
  readonly text: string;
  readonly lines: readonly Line[];
}

interface CodeProps {
  readonly lang: string;
  readonly text: string;
  readonly open: boolean;
}

const NOTHING: Coloured = { text: "", lines: [] };

export function Code({ lang, text, open }: CodeProps): VNode {
  const name = /^[\w+#.-]{1,24}/.exec(lang)?.[0] ?? "";
  const coloured = useColours(name.toLowerCase(), text, open);
  // A finished block has no newline at its end, and what was coloured of it may.
  const known = `${text}\n`.startsWith(coloured.text) ? coloured : NOTHING;
  return (
    <div class="code-block">
      <div class="code-head">
        <span>{name || t.value.code}</span>
        <CopyButton text={() => text} small />
      </div>
      <pre tabIndex={0} aria-label={name ? t.value.codeIn(name) : t.value.code}>
        <code>
          {known.lines.map((line, index) => (
            <CodeLine key={index} line={line} />
          ))}
          <PlainLines text={text.slice(known.text.length)} />
        </code>
      </pre>
    </div>
  );
}

/** The colours of the text, or of its beginning. */
function useColours(lang: string, text: string, open: boolean): Coloured {
  const [coloured, setColoured] = useState(NOTHING);
  const state = useRef({ text, lang, done: "", notBeforeMs: 0, timer: 0 });
  Object.assign(state.current, { text, lang });
  useEffect(() => () => clearTimeout(state.current.timer), []);
  useEffect(() => {
    const now = state.current;
    // While it is written, lines that are finished; in the end all of it.
    const wanted = open ? text.slice(0, text.lastIndexOf("\n") + 1) : text;
    if (lang === "" || wanted === now.done || wanted === "" || wanted.length > COLOURED_CHARACTERS_MAX) return;
    if (now.timer !== 0) {
      if (open) return;
      clearTimeout(now.timer);
    }
    const waitMs = open ? Math.max(0, now.notBeforeMs - performance.now()) : 0;
    now.timer = window.setTimeout(async () => {
      const colouring = await loadColouring().catch(() => null);
      now.timer = 0;
      if (colouring === null) return; // plain, until the next block comes
      const latest = open ? now.text.slice(0, now.text.lastIndexOf("\n") + 1) : now.text;
      if (latest.length > COLOURED_CHARACTERS_MAX) return;
      const beganMs = performance.now();
      const lines = colouring(now.lang, latest);
      const tookMs = performance.now() - beganMs;
      now.notBeforeMs = beganMs + Math.max(COLOURING_MS, COLOURING_SHARE * tookMs);
      now.done = latest;
      // Its last line is empty: what follows begins a line of its own.
      if (lines !== null) setColoured({ text: latest, lines: latest.endsWith("\n") ? lines.slice(0, -1) : lines });
    }, waitMs);
  }, [lang, text, open, coloured]);
  return coloured;
}

/** One coloured line; it is drawn again only if its colours have changed. */
class CodeLine extends Component<{ readonly line: Line }> {
  override shouldComponentUpdate(next: { readonly line: Line }): boolean {
    const { line } = this.props;
    return (
      line.length !== next.line.length ||
      line.some((piece, index) => piece.text !== next.line[index]!.text || piece.name !== next.line[index]!.name)
    );
  }

  override render(): VNode {
    return (
      <span class="line">
        {this.props.line.map(({ name, text }) => (name === "" ? text : <span class={name}>{text}</span>))}
        {"\n"}
      </span>
    );
  }
}

function PlainLines({ text }: { readonly text: string }): VNode | null {
  if (text === "") return null;
  const lines = text.split("\n");
  const groups: string[] = [];
  for (let at = 0; at < lines.length; at += LINES_TOGETHER) {
    groups.push(lines.slice(at, at + LINES_TOGETHER).join("\n"));
  }
  return (
    <>
      {groups.map((group, index) => (
        <span key={index} class="line">
          {group}
          {index < groups.length - 1 && "\n"}
        </span>
      ))}
    </>
  );
}
