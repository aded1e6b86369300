// An answer that is asked for again and again, while somebody can see it.

import { useEffect } from "preact/hooks";
import type { Loaded } from "../../shared/load.js";
import { useLoad } from "../../shared/load.js";

/** The answer to a GET, asked for anew so many seconds after the last one came; not in a hidden tab. */
export function usePolled<T>(path: string, seconds: number): Loaded<T> {
  const loaded = useLoad<T>(path);
  const { busy, reload } = loaded;
  useEffect(() => {
    if (busy) return undefined; // a slow server is not asked before it has answered
    const timer = setTimeout(() => {
      if (document.visibilityState === "visible") reload();
    }, seconds * 1000);
    const seen = (): void => {
      if (document.visibilityState === "visible") reload();
    };
    document.addEventListener("visibilitychange", seen);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [busy, reload, seconds]);
  return loaded;
}
