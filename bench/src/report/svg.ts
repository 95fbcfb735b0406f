import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import type { Chart } from "./table.ts";

/** Draws a chart. */
export async function drawChart(chart: Chart): Promise<string> {
  const view = new View(parse(compile(specOf(chart)).spec), { renderer: "none" });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}

function specOf({ title, kind, x, y, series, rows }: Chart): TopLevelSpec {
  const base = {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json" as const,
    title,
    background: "white",
    data: { values: [...rows] },
  };
  if (kind === "bars") {
    return {
      ...base,
      width: 560,
      mark: "bar",
      encoding: {
        x: { field: x.field, type: "quantitative", title: x.title, scale: { type: x.scale ?? "linear" } },
        y: { field: y.field, type: "nominal", title: y.title || null, sort: null, axis: { labelLimit: 320 } },
        ...(series === undefined
          ? {}
          : {
              yOffset: { field: series, type: "nominal" as const, sort: null },
              color: { field: series, type: "nominal" as const, sort: null },
            }),
      },
    };
  }
  return {
    ...base,
    width: 560,
    height: 320,
    mark: { type: "line", point: true },
    encoding: {
      x: { field: x.field, type: "quantitative", title: x.title, scale: { type: x.scale ?? "linear" } },
      y: {
        field: y.field,
        type: "quantitative",
        title: y.title,
        scale: { type: y.scale ?? "linear", zero: y.scale !== "log" },
      },
      ...(series === undefined
        ? {}
        : { color: { field: series, type: "nominal" as const, sort: null, legend: { labelLimit: 320 } } }),
    },
  };
}
