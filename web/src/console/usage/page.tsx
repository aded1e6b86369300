import type { VNode } from "preact";
import { Page } from "../parts.js";
import { t } from "../texts.js";

export function Usage(): VNode {
  return <Page title={t.value.usage} />;
}
