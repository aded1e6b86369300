// Markdown as elements. No text of an answer ever becomes HTML: what looks like it is shown as it
// is written, and images are links that say where they lead, since fetching one would tell a
// stranger's server of the chat.

import type { MarkedToken, Token, Tokens } from "marked";
import { Component, type ComponentChildren, type VNode } from "preact";
import { nextFrame } from "../frames.js";
import { t } from "../texts.js";
import { Blocks, type CodeToken } from "./blocks.js";
import { Code } from "./code.js";
import { decoded } from "./entities.js";
import { hostOf, safeAddress } from "./links.js";
import { nextEnd } from "./slices.js";

interface AnswerTextProps {
  readonly text: string;
  /** Whether nothing more comes. */
  readonly isWhole: boolean;
}

const HANGUL = /[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]/;
// Of what is in the beginning of a text the rest is, as a rule; and it may be long.
const LANGUAGE_CHARACTERS = 2_000;

/**
 * A text that grows, or is whole. It is read again only if it has changed; what comes at once and is
 * long is drawn over several frames, so that the page answers in between.
 */
export class AnswerText extends Component<AnswerTextProps> {
  readonly #blocks = new Blocks();
  #end = 0; // of what is drawn
  #isWaiting = false;
  #isGone = false;

  override shouldComponentUpdate(next: AnswerTextProps): boolean {
    return next.text !== this.props.text || next.isWhole !== this.props.isWhole;
  }

  override componentDidMount(): void {
    this.#goOn();
  }

  override componentDidUpdate(): void {
    this.#goOn();
  }

  override componentWillUnmount(): void {
    this.#isGone = true;
  }

  /** Draws the next part, or what is not read yet, in the next frame, if there is any. */
  #goOn(): void {
    if (this.#isWaiting || (this.#end >= this.props.text.length && !this.#blocks.isBehind)) return;
    this.#isWaiting = true;
    nextFrame(() => {
      this.#isWaiting = false;
      if (!this.#isGone) this.forceUpdate();
    });
  }

  override render(): VNode {
    const { text, isWhole } = this.props;
    this.#end = nextEnd(text, this.#end);
    const blocks = this.#blocks.update(text.slice(0, this.#end), isWhole && this.#end === text.length);
    // Not known to be the page's own language.
    const lang = HANGUL.test(text.slice(0, LANGUAGE_CHARACTERS)) ? "ko" : "";
    return (
      <div class="markdown" lang={lang}>
        {blocks.map((token, index) => (
          <Block key={index} token={token} />
        ))}
      </div>
    );
  }
}

/** One block; it is drawn again only if it is another one. */
class Block extends Component<{ readonly token: Token }> {
  override shouldComponentUpdate(next: { readonly token: Token }): boolean {
    return next.token !== this.props.token;
  }

  override render(): ComponentChildren {
    return drawn(this.props.token);
  }
}

function all(tokens: readonly Token[] | undefined): ComponentChildren {
  return tokens?.map(drawn);
}

function drawn(any: Token): ComponentChildren {
  const token = any as MarkedToken;
  switch (token.type) {
    case "paragraph":
      return <p>{all(token.tokens)}</p>;
    case "text":
      return token.tokens ? all(token.tokens) : decoded(token.text);
    case "escape":
      return token.text;
    case "strong":
      return <strong>{all(token.tokens)}</strong>;
    case "em":
      return <em>{all(token.tokens)}</em>;
    case "del":
      return <del>{all(token.tokens)}</del>;
    case "codespan":
      return <code>{token.text}</code>;
    case "br":
      return <br />;
    case "link":
      return <Link token={token} />;
    case "image":
      return <ImageLink token={token} />;
    case "heading":
      return <Heading token={token} />;
    case "hr":
      return <hr />;
    case "blockquote":
      return <blockquote>{all(token.tokens)}</blockquote>;
    case "code":
      return <Code lang={token.lang ?? ""} text={token.text} open={(token as CodeToken).open ?? false} />;
    case "list":
      return <List token={token} />;
    case "table":
      return <Table token={token} />;
    case "checkbox":
      return <Checkbox checked={token.checked} />;
    case "space":
    case "def":
      return null;
    default:
      // HTML, and whatever a newer version may have: as it is written.
      return any.raw;
  }
}

function Link({ token }: { readonly token: Tokens.Link }): VNode {
  const address = safeAddress(token.href);
  if (address === null) return <>{all(token.tokens)}</>;
  return (
    <a href={address} target="_blank" rel="noopener noreferrer" title={hostOf(address)}>
      {all(token.tokens)}
    </a>
  );
}

function ImageLink({ token }: { readonly token: Tokens.Image }): VNode {
  const address = safeAddress(token.href);
  const name = decoded(token.text) || t.value.image;
  if (address === null) return <span class="image-link">{name}</span>;
  return (
    <a class="image-link" href={address} target="_blank" rel="noopener noreferrer">
      {name} <span class="host">{hostOf(address)}</span>
    </a>
  );
}

/** A heading below the page's own two levels. */
function Heading({ token }: { readonly token: Tokens.Heading }): VNode {
  const Name = `h${Math.min(6, token.depth + 2)}` as "h3";
  return <Name>{all(token.tokens)}</Name>;
}

function List({ token }: { readonly token: Tokens.List }): VNode {
  const items = token.items.map((item, index) => (
    <li key={index} class={item.task ? "task" : undefined}>
      {item.task && !item.tokens.some((each) => each.type === "checkbox") && (
        <Checkbox checked={item.checked === true} />
      )}
      {all(item.tokens)}
    </li>
  ));
  if (!token.ordered) return <ul>{items}</ul>;
  const start = Number(token.start);
  return <ol start={Number.isSafeInteger(start) ? start : 1}>{items}</ol>;
}

function Checkbox({ checked }: { readonly checked: boolean }): VNode {
  return (
    <span class="checkbox" role="img" aria-label={checked ? t.value.done : t.value.notDone}>
      {checked ? "☑" : "☐"}{" "}
    </span>
  );
}

function Table({ token }: { readonly token: Tokens.Table }): VNode {
  const cell = (of: Tokens.TableCell, Name: "th" | "td", index: number): VNode => (
    <Name key={index} scope={Name === "th" ? "col" : undefined} class={of.align ? `align-${of.align}` : undefined}>
      {all(of.tokens)}
    </Name>
  );
  return (
    <div class="table-scroll" tabIndex={0} role="region" aria-label={t.value.table}>
      <table>
        <thead>
          <tr>{token.header.map((each, index) => cell(each, "th", index))}</tr>
        </thead>
        <tbody>
          {token.rows.map((row, index) => (
            <tr key={index}>{row.map((each, column) => cell(each, "td", column))}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
