/** Aligns rows of a table. */
import Table from "cli-table3";
import type { Colors, Screen } from "../io/io.ts";
import { oneLine, wrap } from "./text.ts";

/** One cell of a table. */
export interface Cell {
  /** Text on a terminal; control characters are removed. */
  readonly text: string;
  /** Text when piped, if it differs: a time in ISO 8601, a number without unit. */
  readonly plain?: string;
  /** Colour on a terminal. */
  readonly paint?: (text: string) => string;
}

/**
 * A column. On a narrow terminal `first` columns are cut first, then all that shrink.
 */
export interface Column {
  readonly title: string;
  readonly align?: "right";
  readonly shrink?: "first" | "last";
}

const GAP = 2;
const NARROWEST = 6;
/** Width to which `first` columns shrink before the others do. */
const NARROW = 12;

const NO_BORDERS = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: " ".repeat(GAP),
};

/**
 * Writes rows as an aligned table with a header on a terminal, and as tab-separated lines without a header when piped.
 * Without rows nothing is written.
 */
export function writeTable(
  screen: Screen,
  columns: readonly Column[],
  rows: readonly (readonly (Cell | string)[])[],
): void {
  if (rows.length === 0) return;
  const cells = rows.map((row) => row.map((cell) => (typeof cell === "string" ? { text: cell } : cell)));
  screen.write(
    screen.isTTY
      ? `${tableLines(columns, cells, screen.columns, screen.colors).join("\n")}\n`
      : separated(cells),
  );
}

function separated(rows: readonly (readonly Cell[])[]): string {
  return rows.map((row) => `${row.map((cell) => oneLine(cell.plain ?? cell.text)).join("\t")}\n`).join("");
}

/** Lines of an aligned table with a header; columns shrink until it fits into `width`. */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  width: number,
  colors: Colors,
): string[] {
  const texts = rows.map((row) => row.map((cell) => oneLine(cell.text)));
  const natural = columns.map(({ title }, index) =>
    Math.max(title.length, ...texts.map((row) => [...(row[index] ?? "")].length)),
  );
  const widths = fitWidths(natural, columns, width);
  const table = new Table({
    head: columns.map(({ title }) => colors.dim(title)),
    chars: NO_BORDERS,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0, compact: true },
    ...(widths.every((each, index) => each === natural[index]) ? {} : { colWidths: widths }),
    colAligns: columns.map(({ align }) => align ?? "left"),
  });
  for (const [at, row] of rows.entries()) {
    table.push(row.map((cell, index) => (cell.paint ?? String)(texts[at]?.[index] ?? "")));
  }
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd());
}

/** Shrinks the widest column that may shrink until the table fits or no column can shrink. */
export function fitWidths(natural: readonly number[], columns: readonly Column[], width: number): number[] {
  const widths = [...natural];
  const total = (): number => widths.reduce((sum, each) => sum + each + GAP, -GAP);
  const widest = (may: (column: Column) => boolean, least: number): number | undefined =>
    columns
      .flatMap((column, index) => (may(column) && (widths[index] ?? 0) > least ? [index] : []))
      .toSorted((a, b) => (widths[b] ?? 0) - (widths[a] ?? 0))[0];
  while (total() > width) {
    const at =
      widest(({ shrink }) => shrink === "first", NARROW) ??
      widest(({ shrink }) => shrink !== undefined, NARROWEST);
    if (at === undefined) break;
    widths[at] = (widths[at] ?? 0) - 1;
  }
  return widths;
}

/** Writes the fields of one item: `name  value`, aligned on a terminal, tab-separated when piped. */
export function writeFields(
  screen: Screen,
  fields: readonly (readonly [string, Cell | string | undefined])[],
): void {
  const shown = fields.flatMap(([name, value]) =>
    value === undefined ? [] : [{ name, cell: typeof value === "string" ? { text: value } : value }],
  );
  const width = Math.max(0, ...shown.map(({ name }) => name.length)) + GAP;
  const indent = " ".repeat(width);
  for (const { name, cell } of shown) {
    screen.write(
      screen.isTTY
        ? `${screen.colors.dim(name.padEnd(width))}${(cell.paint ?? String)(wrap(cell.text, screen.columns, indent).slice(width))}\n`
        : `${name}\t${oneLine(cell.plain ?? cell.text)}\n`,
    );
  }
}
