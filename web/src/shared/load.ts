// What a page shows of the server: asked for when the page comes or its question changes, and again
// when somebody has logged in anew. While an answer is on its way the last one stays.

import { useCallback, useEffect, useState } from "preact/hooks";
import { Problem } from "./api.js";
import { call, session } from "./session.js";

export interface Loaded<T> {
  /** The last answer; undefined until there is one. */
  readonly data: T | undefined;
  readonly problem: Problem | null;
  readonly busy: boolean;
  readonly reload: () => void;
}

/** The answer to a GET; with null nothing is asked. */
export function useLoad<T>(path: string | null): Loaded<T> {
  const [round, setRound] = useState(0);
  const [state, setState] = useState<{ path: string | null; data?: T; problem: Problem | null; busy: boolean }>({
    path,
    problem: null,
    busy: path !== null,
  });
  const ready = session.value.state !== "lapsed";
  useEffect(() => {
    if (path === null || !ready) return undefined;
    const abort = new AbortController();
    setState((last) => ({ ...last, busy: true }));
    call<T>("GET", path, undefined, abort.signal).then(
      (data) => setState({ path, data, problem: null, busy: false }),
      (reason: unknown) => {
        if (abort.signal.aborted) return;
        if (!(reason instanceof Problem)) throw reason;
        setState((last) => ({ ...last, path, problem: reason, busy: false }));
      },
    );
    return () => abort.abort();
  }, [path, round, ready]);
  const reload = useCallback(() => setRound((last) => last + 1), []);
  return { data: state.data, problem: state.problem, busy: state.busy, reload };
}
