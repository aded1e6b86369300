// A code block: its language, a button that copies it, and its lines. Colours come with finished
// lines, a few times a second, and never go away again.

import { Component, type VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import { CopyButton } from "../copy_button.js";
import { t } from "../texts.js";
import { Colouring, NOTHING, isColoured } from "./colouring.js";
import type { Line } from "./line_emitter.js";

// Lines that are not coloured are drawn by so many together.
const LINES_TOGETHER = 50;

interface CodeProps {
  readonly lang: string;
  readonly text: string;
  readonly open: boolean;
}

export function Code({ lang, text, open }: CodeProps): VNode {
  const name = /^[\w+#.-]{1,24}/.exec(lang)?.[0] ?? "";
  const [coloured, setColoured] = useState(NOTHING);
  const [colouring] = useState(() => new Colouring(setColoured));
  useEffect(() => () => colouring.stop(), []);
  useEffect(() => colouring.follow({ lang: name.toLowerCase(), text, isOpen: open }), [name, text, open]);
  const known = isColoured(coloured, text) ? coloured : NOTHING;
  return (
    <div class="code-block">
      <div class="code-head">
        <span>{name || t.value.code}</span>
        <CopyButton text={() => text} small />
      </div>
      <pre tabIndex={0} aria-label={name ? t.value.codeIn(name) : t.value.code}>
        <code>
          <ColouredLines lines={known.lines} />
          <PlainLines text={text.slice(known.text.length)} />
        </code>
      </pre>
    </div>
  );
}

/** The lines that have their colours; while others come, they are not even looked at. */
class ColouredLines extends Component<{ readonly lines: readonly Line[] }> {
  override shouldComponentUpdate(next: { readonly lines: readonly Line[] }): boolean {
    return next.lines !== this.props.lines;
  }

  override render(): VNode {
    return (
      <>
        {this.props.lines.map((line, index) => (
          <CodeLine key={index} line={line} />
        ))}
      </>
    );
  }
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
