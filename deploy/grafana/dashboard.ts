/** A panel of a dashboard: what it asks and how it shows it. */
export interface Panel {
  readonly title: string;
  readonly description?: string;
  readonly kind: "timeseries" | "stat";
  readonly unit: string;
  /** Expressions with the legend of their series. */
  readonly queries: readonly (readonly [expression: string, legend: string])[];
  /** Columns of 24; 8 by default. */
  readonly width?: number;
  readonly stacked?: boolean;
}

/** Panels under one heading. */
export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** A variable that the reader chooses, taken from a label. */
export interface Variable {
  readonly name: string;
  readonly metric: string;
  readonly label: string;
}

/** A dashboard. */
export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly variables: readonly Variable[];
  readonly rows: readonly Row[];
}

/** The range of a rate, as long as Grafana finds it fit for the time shown. */
export const RATE = "[$__rate_interval]";

/** Median, 95th and 99th percentile of a histogram, in all or for each value of the label `by`. */
export const quantiles = (metric: string, labels: string, by: string): Panel["queries"] =>
  ["0.5", "0.95", "0.99"].map((quantile) => {
    const selector = labels === "" ? "" : `{${labels}}`;
    const sum = `sum by (le${by === "" ? "" : `, ${by}`}) (rate(${metric}_bucket${selector}${RATE}))`;
    const series = by === "" ? "" : ` {{${by}}}`;
    return [`histogram_quantile(${quantile}, ${sum})`, `p${Number(quantile) * 100}${series}`];
  });
