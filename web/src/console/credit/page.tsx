import type { VNode } from "preact";
import { Page } from "../parts.js";
import { t } from "../texts.js";

export function Credit(): VNode {
  return <Page title={t.value.credit} />;
}
