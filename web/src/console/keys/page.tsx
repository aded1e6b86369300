import type { VNode } from "preact";
import { Page } from "../parts.js";
import { t } from "../texts.js";

export function Keys(): VNode {
  return <Page title={t.value.keys} />;
}
