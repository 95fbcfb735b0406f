import { readFileSync, writeFileSync } from "node:fs";
import type { Dashboard, Panel } from "./dashboard.ts";
import { SCHEDULER } from "./scheduler-dashboard.ts";
import { WORKERS } from "./workers-dashboard.ts";

// Writes the dashboards' JSON: node deploy/grafana/build.ts. A test does it anew and compares.

const WIDTH = 24;
const PANEL_HEIGHT = 8;
const STAT_HEIGHT = 4;

const DATASOURCE = { type: "prometheus", uid: "$datasource" };

/** Every metric's name by the reference, which a test compares with running programs. */
const documented = new Set(
  [
    ...readFileSync(new URL("../../docs/metrics.md", import.meta.url), "utf8").matchAll(/^\| `(\w+)` \|/gm),
  ].map(([, name]) => name),
);

/** The JSON files of all dashboards by name. @throws Error when a panel asks for a metric that there is not. */
export function dashboards(): ReadonlyMap<string, string> {
  return new Map(
    [SCHEDULER, WORKERS].map((dashboard) => [
      `${dashboard.uid}.json`,
      `${JSON.stringify(toGrafana(dashboard), undefined, 2)}\n`,
    ]),
  );
}

/** Names of metrics in an expression, without the suffixes of a histogram's series. */
export function metricsIn(expression: string): string[] {
  return [...expression.matchAll(/\b(?:muster|worker|process)_\w+/g)].map(([name]) =>
    name.replace(/_seconds_(?:bucket|sum|count)$/, "_seconds"),
  );
}

function toGrafana({ uid, title, description, variables, rows }: Dashboard): unknown {
  const panels: unknown[] = [];
  let y = 0;
  for (const row of rows) {
    panels.push({
      id: panels.length + 1,
      type: "row",
      title: row.title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: WIDTH, h: 1 },
    });
    y += 1;
    let x = 0;
    let height = 0;
    for (const panel of row.panels) {
      const w = panel.width ?? 8;
      if (x + w > WIDTH) {
        x = 0;
        y += height;
      }
      height = panel.kind === "stat" ? STAT_HEIGHT : PANEL_HEIGHT;
      panels.push({ id: panels.length + 1, gridPos: { x, y, w, h: height }, ...toPanel(panel) });
      x += w;
    }
    y += height;
  }
  return {
    uid,
    title,
    description,
    tags: ["muster"],
    schemaVersion: 39,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: "30s",
    time: { from: "now-3h", to: "now" },
    timezone: "browser",
    templating: {
      list: [
        { name: "datasource", label: "Data source", type: "datasource", query: "prometheus", hide: 0 },
        ...variables.map(({ name, metric, label }) => ({
          name,
          type: "query",
          datasource: DATASOURCE,
          query: { query: `label_values(${known(metric)}, ${label})`, refId: name },
          refresh: 2,
          sort: 1,
          multi: true,
          includeAll: true,
          allValue: ".*",
          current: { selected: true, text: ["All"], value: ["$__all"] },
        })),
      ],
    },
    panels,
  };
}

function toPanel({ title, description = "", kind, unit, queries, stacked = false }: Panel): object {
  const custom =
    kind === "stat"
      ? {}
      : {
          custom: {
            drawStyle: "line",
            lineWidth: 1,
            fillOpacity: stacked ? 20 : 5,
            showPoints: "never",
            spanNulls: false,
            stacking: { mode: stacked ? "normal" : "none", group: "A" },
          },
        };
  return {
    type: kind,
    title,
    description,
    datasource: DATASOURCE,
    fieldConfig: { defaults: { unit, min: 0, ...custom }, overrides: [] },
    options:
      kind === "stat"
        ? { reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false }, graphMode: "area" }
        : {
            legend: { displayMode: "list", placement: "bottom", showLegend: true },
            tooltip: { mode: "multi", sort: "desc" },
          },
    targets: queries.map(([expression, legend], index) => {
      for (const name of metricsIn(expression)) known(name);
      return {
        refId: String.fromCharCode(65 + index),
        datasource: DATASOURCE,
        expr: expression,
        legendFormat: legend,
        range: true,
      };
    }),
  };
}

function known(name: string): string {
  if (!documented.has(name)) throw new Error(`docs/metrics.md knows no metric ${name}`);
  return name;
}

if (import.meta.main) {
  for (const [name, text] of dashboards()) writeFileSync(new URL(name, import.meta.url), text);
}
