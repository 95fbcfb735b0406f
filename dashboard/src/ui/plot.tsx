/** A plot over time. */
import { type ReactNode, useEffect, useRef } from "react";
import uPlot from "uplot";
import { useTheme } from "./frame/theme.ts";

/** A line of a plot. */
export interface Series {
  readonly label: string;
  /** Name of a colour in tokens.css. */
  readonly color: "--plot-1" | "--plot-2" | "--plot-3" | "--plot-4";
  readonly dash?: readonly number[];
  readonly fill?: boolean;
  readonly values: readonly (number | null)[];
}

const HEIGHT = 150;

/** Cursors of the plots of a page move together. */
const SYNC = "history";

export function Plot({
  times,
  series,
  format,
  from,
  to,
}: {
  /** Seconds since the epoch, ascending. */
  times: readonly number[];
  series: readonly Series[];
  format: (value: number) => string;
  /** Begin and end of the time axis, seconds. */
  from: number;
  to: number;
}): ReactNode {
  const box = useRef<HTMLDivElement>(null);
  const theme = useTheme();
  const plot = useRef<uPlot>(undefined);
  const range = useRef<[number, number]>([from, to]);
  range.current = [from, to];
  const data = [times, ...series.map(({ values }) => values)] as uPlot.AlignedData;
  const shape = series.map(({ label }) => label).join("\n");
  // biome-ignore lint/correctness/useExhaustiveDependencies: data is set below; a plot is made anew for other lines and colours
  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const color = (name: string) => getComputedStyle(element).getPropertyValue(name).trim();
    const axis = { stroke: color("--muted"), font: "11px system-ui", ticks: { show: false } };
    const grid = { stroke: color("--line"), width: 1 };
    const made = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        cursor: { sync: { key: SYNC }, points: { size: 6 }, y: false },
        legend: { show: true, live: true },
        scales: {
          x: { range: () => range.current },
          y: { range: (_self, _min, max) => [0, max > 0 ? max * 1.12 : 1] },
        },
        axes: [
          { ...axis, grid: { show: false }, space: 70 },
          { ...axis, grid, size: 52, space: 34, values: (_self, ticks) => ticks.map((tick) => format(tick)) },
        ],
        series: [
          { value: "{HH}:{mm}" },
          ...series.map(({ label, color: name, dash, fill }) => ({
            label,
            stroke: color(name),
            width: 1.5,
            ...(dash ? { dash: [...dash] } : {}),
            ...(fill ? { fill: color(name).replace(/^rgb\((.*)\)$/, "rgba($1, 0.14)") } : {}),
            points: { show: false },
            value: (_self: uPlot, value: number | null) => (value === null ? "–" : format(value)),
          })),
        ],
      },
      data,
      element,
    );
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [theme, shape]);
  useEffect(() => {
    plot.current?.setData(data);
  });
  return <div className="plot" ref={box} />;
}
