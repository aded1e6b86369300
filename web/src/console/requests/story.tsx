import type { VNode } from "preact";
import type { Matched } from "../console_page.js";
import { Page } from "../parts.js";
import { t } from "../texts.js";

export function Story({ params }: Matched): VNode {
  return <Page title={`${t.value.requests} ${params["id"]}`} />;
}
