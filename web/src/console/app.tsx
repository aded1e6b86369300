import type { VNode } from "preact";
import { t } from "./texts.js";

export function App(): VNode {
  return (
    <main>
      <h1>{t.value.title}</h1>
    </main>
  );
}
