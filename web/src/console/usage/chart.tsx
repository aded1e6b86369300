// A chart of days. uPlot comes with its own script and style sheet, when a chart is first shown;
// the table beside it says the same, so that the page does not depend on either.

import "uplot/dist/uPlot.min.css";
import type { VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";
import UPlot from "uplot";
import { dayName, dollars, nanosOf, roughly } from "../../shared/format.js";
import { language } from "../../shared/language.js";
import { theme } from "../../shared/theme.js";
import type { Metric } from "./series.js";

export interface DayChartProps {
  readonly days: readonly string[];
  readonly values: readonly (number | null)[];
  /** A part of each value that is drawn over it: what failed. */
  readonly over?: readonly (number | null)[];
  readonly metric: Metric;
  readonly label: string;
  readonly height?: number;
  readonly onDay?: (day: string) => void;
}

const BAR_SHARE = 0.7;
const BAR_PIXELS_MAX = 36;
const AXIS_PIXELS_MIN = 44;
const X_AXIS_PIXELS = 34;
// Below the axis' lowest figure: the first day's name reaches to its left.
const X_GAP_PIXELS = 11;
// Whole things have no halves.
const WHOLE_STEPS = [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9].flatMap((unit) => [unit, 2 * unit, 5 * unit]);

export function DayChart(props: DayChartProps): VNode {
  const box = useRef<HTMLDivElement>(null);
  const { days, values, over, metric, label, height = 220, onDay } = props;
  const [shownTheme, shownLanguage] = [theme.value, language.value];
  useEffect(() => {
    const element = box.current!;
    const dark = matchMedia("(prefers-color-scheme: dark)");
    let plot: UPlot | undefined;
    const draw = (): void => {
      plot?.destroy();
      const columns = [days.map((_, index) => index), values, ...(over === undefined ? [] : [over])];
      plot = new UPlot(options(props, element, height), columns as unknown as UPlot.AlignedData, element);
    };
    draw();
    const observer = new ResizeObserver(() => plot?.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    dark.addEventListener("change", draw);
    return () => {
      observer.disconnect();
      dark.removeEventListener("change", draw);
      plot?.destroy();
    };
  }, [days, values, over, metric, shownTheme, shownLanguage, height]);
  return (
    <div
      class={`chart ${onDay === undefined ? "" : "clickable"}`}
      ref={box}
      role="img"
      aria-label={label}
      style={{ height: `${height}px` }}
    />
  );
}

function options(props: DayChartProps, element: HTMLElement, height: number): UPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const font = `12px ${style.fontFamily}`;
  const bars = UPlot.paths.bars!({ size: [BAR_SHARE, BAR_PIXELS_MAX], radius: 0.08 });
  const axis = { stroke: colour("--muted"), font, ticks: { show: false } };
  const bar = { paths: bars, points: { show: false }, width: 0 };
  return {
    width: element.clientWidth,
    height,
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
    scales: {
      x: { time: false, range: [-0.6, props.days.length - 0.4] },
      // Never without an axis, whatever there is to see: a blank chart looks broken.
      y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.08 : 1] },
    },
    axes: [
      {
        ...axis,
        size: X_AXIS_PIXELS,
        gap: X_GAP_PIXELS,
        grid: { show: false },
        splits: () => labelled(props.days.length, element.clientWidth),
        values: (_plot, splits) => splits.map((index) => dayName(props.days[index] ?? props.days[0]!)),
      },
      {
        ...axis,
        size: (_plot, values) => Math.max(AXIS_PIXELS_MIN, ...(values ?? []).map((text) => text.length * 7 + 14)),
        grid: { stroke: colour("--line"), width: 1 },
        values: (_plot, splits, _axis, _space, step) => splits.map((value) => axisText(value, props.metric, step)),
        ...(props.metric === "cost" ? {} : { incrs: WHOLE_STEPS }),
      },
    ],
    series: [
      {},
      { ...bar, fill: colour("--accent") },
      ...(props.over === undefined ? [] : [{ ...bar, fill: colour("--bad") }]),
    ],
    hooks: {
      ready: [(plot) => plot.over.addEventListener("click", () => clicked(plot, props))],
      setCursor: [
        (plot) => {
          const index = plot.cursor.idx;
          plot.over.title = typeof index === "number" ? pointed(props, index) : "";
        },
      ],
    },
  };
}

function clicked(plot: UPlot, props: DayChartProps): void {
  const index = plot.cursor.idx;
  if (typeof index === "number" && props.days[index] !== undefined) props.onDay?.(props.days[index]);
}

function pointed({ days, values, metric }: DayChartProps, index: number): string {
  const value = values[index];
  if (value === null || value === undefined) return dayName(days[index]!);
  return `${dayName(days[index]!)} · ${metric === "cost" ? dollars(nanosOf(value.toFixed(9)), 4) : roughly(value)}`;
}

function axisText(value: number, metric: Metric, step: number): string {
  if (metric !== "cost") return roughly(value);
  // As many decimals as tell two lines apart.
  const decimals = Math.max(2, Math.min(9, Math.ceil(-Math.log10(step) - 1e-9)));
  return value >= 1000 ? `$${roughly(value)}` : `$${value.toFixed(step >= 1 ? 0 : decimals)}`;
}

/** The days that get a label: as many as there is room for. */
function labelled(count: number, width: number): number[] {
  const step = Math.max(1, Math.ceil(count / Math.max(2, Math.floor(width / 84))));
  const indices: number[] = [];
  for (let index = 0; index < count; index += step) indices.push(index);
  return indices;
}
