// The chart, once its script is there.

import type { ComponentType, VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { DayChartProps } from "./chart.js";
import { t } from "./texts.js";

let loaded: ComponentType<DayChartProps> | undefined;

export function LazyChart(props: DayChartProps): VNode {
  const [state, setState] = useState<"waiting" | "failed" | "there">(loaded ? "there" : "waiting");
  useEffect(() => {
    if (loaded !== undefined) return;
    import("./chart.js").then(
      (module) => {
        loaded = module.DayChart;
        setState("there");
      },
      () => setState("failed"), // the table says the same
    );
  }, []);
  const Chart = loaded;
  if (Chart !== undefined) return <Chart {...props} />;
  return (
    <div class="chart" style={{ height: `${props.height ?? 220}px` }}>
      {state === "failed" && <p class="note">{t.value.noChart}</p>}
    </div>
  );
}
