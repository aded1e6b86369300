// A list that comes page by page: what has come so far, and a button for more.

import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { Problem } from "../../shared/api.js";
import type { Loaded } from "../../shared/load.js";
import { useLoad } from "../../shared/load.js";
import { call } from "../../shared/session.js";
import { Failure } from "../parts.js";
import { t as frame } from "../texts.js";

interface Answer<Row> {
  readonly data: readonly Row[];
}

export interface Listed<Row> extends Loaded<readonly Row[]> {
  /** Asks for the next page; null at the end of the list. */
  readonly more: (() => void) | null;
  readonly moreBusy: boolean;
  readonly moreProblem: Problem | null;
}

interface Rest<A> {
  /** The first page that these follow; when it is another one, they are gone. */
  readonly first: A | undefined;
  readonly pages: readonly A[];
  readonly busy: boolean;
  readonly problem: Problem | null;
}

/** Rows of a list.
 *  @param path of its first page
 *  @param cursor from an answer to the query that asks for the page after it; null at the end */
export function useListed<Row, A extends Answer<Row>>(
  path: string | null,
  cursor: (answer: A) => readonly [name: string, value: string] | null,
): Listed<Row> {
  const first = useLoad<A>(path);
  const [rest, setRest] = useState<Rest<A>>({ first: undefined, pages: [], busy: false, problem: null });
  const own = rest.first === first.data ? rest : { first: first.data, pages: [], busy: false, problem: null };
  const last = own.pages.at(-1) ?? first.data;
  const next = last === undefined ? null : cursor(last);

  function more(): void {
    if (path === null || next === null || own.busy) return;
    const [name, value] = next;
    setRest({ ...own, busy: true, problem: null });
    const page = `${path}${path.includes("?") ? "&" : "?"}${name}=${encodeURIComponent(value)}`;
    call<A>("GET", page).then(
      (answer) => setRest({ ...own, pages: [...own.pages, answer], busy: false, problem: null }),
      (reason: unknown) => {
        if (!(reason instanceof Problem)) throw reason;
        setRest({ ...own, busy: false, problem: reason });
      },
    );
  }

  return {
    ...first,
    data: first.data === undefined ? undefined : [first.data, ...own.pages].flatMap((answer) => answer.data),
    more: next === null ? null : more,
    moreBusy: own.busy,
    moreProblem: own.problem,
  };
}

/** The button for more, below a list. */
export function More<Row>({ of }: { readonly of: Listed<Row> }): VNode | null {
  if (of.more === null) return null;
  return (
    <>
      {of.moreProblem !== null && <Failure problem={of.moreProblem} onRetry={of.more} />}
      <p>
        <button type="button" class="button" aria-disabled={of.moreBusy} onClick={of.more}>
          {of.moreBusy ? frame.value.loading : frame.value.more}
        </button>
      </p>
    </>
  );
}
