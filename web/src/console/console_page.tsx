// What a page of the console is to its frame, and pages that are loaded when they are first shown.

import type { ComponentType, VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import { t } from "./texts.js";

/** What a page is given: the named parts of its path. */
export interface Matched {
  readonly params: Readonly<Record<string, string>>;
}

export interface ConsolePage {
  /** As preact-iso matches it: `/console/requests/:id`. */
  readonly path: string;
  readonly component: ComponentType<Matched>;
  readonly access: "anyone" | "session" | "admin";
  /** Its name in the navigation; without one it is not there. */
  readonly name?: () => string;
}

/** A page whose script is loaded when it is first shown: `later(() => import("./page.js"), "Page")`. */
export function later<K extends string>(
  load: () => Promise<Record<K, ComponentType<Matched>>>,
  name: K,
): ComponentType<Matched> {
  let loaded: ComponentType<Matched> | undefined;
  return function Later(props: Matched): VNode {
    const [state, setState] = useState<"waiting" | "failed" | "there">(loaded ? "there" : "waiting");
    useEffect(() => {
      if (state !== "waiting") return;
      load().then(
        (module) => {
          loaded = module[name];
          setState("there");
        },
        () => setState("failed"), // the network; or the gateway has newer pages by now
      );
    }, [state]);
    if (loaded !== undefined) {
      const Loaded = loaded;
      return <Loaded {...props} />;
    }
    return state === "failed" ? (
      <p role="alert">
        <button type="button" class="button" onClick={() => location.reload()}>
          {t.value.reload}
        </button>
      </p>
    ) : (
      <p class="loading" role="status">
        {t.value.loading}
      </p>
    );
  };
}
