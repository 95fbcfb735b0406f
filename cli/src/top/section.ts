/** A section of a frame of `muster top`: a table, or one line when it is empty. */
import type { Duration } from "@bufbuild/protobuf/wkt";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { formatDuration } from "@muster/common/text/duration-text";
import type { Cell, Column } from "../output/table.ts";
import type { Subject } from "./navigation.ts";

/** A terminal with so many columns shows more of each entry. */
export const WIDE_COLUMNS = 100;

/** A section with the rows that were received. */
export interface Section {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly Cell[])[];
  /** What each row is, where Enter can open it. */
  readonly subjects?: readonly Subject[];
  /** Shown when there are no rows; empty for nothing. */
  readonly none: string;
  /** Number of all entries. */
  readonly total: number;
}

/** A duration as a cell; empty when it is unset. */
export function span(duration: Duration | undefined): string {
  return duration === undefined ? "" : formatDuration(durationMs(duration));
}
