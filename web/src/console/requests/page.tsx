import type { VNode } from "preact";
import { Page } from "../parts.js";
import { t } from "../texts.js";

export function Requests(): VNode {
  return <Page title={t.value.requests} />;
}
