import type { VNode } from "preact";
import { Page } from "../parts.js";
import { t } from "../texts.js";

export function Settings(): VNode {
  return <Page title={t.value.settings} />;
}
