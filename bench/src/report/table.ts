/** A table as measures make them: cells are texts already, the first column names the row. */
export interface Table {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A goal and what became of it. */
export interface Target {
  readonly text: string;
  /** What was measured; undefined when the runs at hand do not tell. */
  readonly measured: string | undefined;
  readonly met: boolean | undefined;
}

/** A chart: rows of one form and how they are drawn. */
export interface Chart {
  /** File name without `.svg`. */
  readonly name: string;
  readonly title: string;
  readonly kind: "bars" | "lines";
  readonly x: { readonly field: string; readonly title: string; readonly scale?: "linear" | "log" };
  readonly y: { readonly field: string; readonly title: string; readonly scale?: "linear" | "log" };
  /** Field that distinguishes the series. */
  readonly series?: string;
  readonly rows: readonly Readonly<Record<string, string | number>>[];
}

/** What a measure makes of its samples. */
export interface Findings {
  readonly tables: readonly Table[];
  readonly targets: readonly Target[];
  readonly charts: readonly Chart[];
}

/** 12345.6 as `12,346`, 3.14159 as `3.14`. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return "-";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
