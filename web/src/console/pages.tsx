// Long lists of the API, page by page: what is shown grows at its end.

import type { ComponentChildren, VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Problem } from "../shared/api.js";
import { call } from "../shared/session.js";
import { Failure } from "./parts.js";
import { withQuery } from "./query.js";
import type { Query } from "./query.js";
import { t } from "./texts.js";

interface PagesProps<Row> {
  readonly path: string;
  readonly query: Query;
  readonly children: (rows: readonly Row[]) => ComponentChildren;
}

interface Answer<Row> {
  readonly data: readonly Row[];
  readonly next: string | null;
}

interface Shown<Row> {
  readonly rows: readonly Row[];
  readonly next: string | null;
}

export function Pages<Row>({ path, query, children }: PagesProps<Row>): VNode {
  const first = withQuery(path, query);
  const [shown, setShown] = useState<Shown<Row> | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);

  async function read(before: Shown<Row> | null, signal?: AbortSignal): Promise<void> {
    setBusy(true);
    setProblem(null);
    try {
      const address = before?.next ? withQuery(path, { ...query, before: before.next }) : first;
      const answer = await call<Answer<Row>>("GET", address, undefined, signal);
      setShown({ rows: [...(before?.rows ?? []), ...answer.data], next: answer.next });
    } catch (reason) {
      if (signal?.aborted) return;
      if (!(reason instanceof Problem)) throw reason;
      setProblem(reason);
    }
    setBusy(false);
  }

  useEffect(() => {
    const abort = new AbortController();
    void read(null, abort.signal);
    return () => abort.abort();
  }, [first]);

  return (
    <div class="stack" aria-busy={busy}>
      {problem !== null && <Failure problem={problem} onRetry={() => void read(shown)} />}
      {shown === null
        ? problem === null && (
            <p class="loading" role="status">
              {t.value.loading}
            </p>
          )
        : children(shown.rows)}
      {shown !== null && shown.next !== null && (
        <button type="button" class="button" aria-disabled={busy} onClick={() => !busy && void read(shown)}>
          {t.value.more}
        </button>
      )}
    </div>
  );
}
