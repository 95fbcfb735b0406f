/** The section of `muster top` for circuits that are not closed, rate limit keys that are paused, and pools that launch no more. */
import type { HoldOverview, Overview } from "@muster/protocol";
import { HoldKind } from "@muster/protocol";
import type { Colors } from "../io/io.ts";
import type { Cell } from "../output/table.ts";
import { type Section, span } from "./section.ts";

const HOLD_COLUMNS = [
  { title: "HELD BACK BY", shrink: "first" },
  { title: "WHICH IS" },
  { title: "FOR" },
  { title: "LEFT" },
  { title: "NOTE", shrink: "last" },
] as const;

const HOLD_WORDS: Readonly<Record<HoldKind, string>> = {
  [HoldKind.UNSPECIFIED]: "",
  [HoldKind.CIRCUIT_OPEN]: "an open circuit",
  [HoldKind.CIRCUIT_HALF_OPEN]: "a half-open circuit",
  [HoldKind.KEY_PAUSED]: "a paused key",
  [HoldKind.POOL_SUSPENDED]: "a suspended pool",
  [HoldKind.POOL_AT_MAX]: "a pool at its maximum",
};

/** Without a line when nothing is held back: most screens have no room for it. */
export function holds({ holds: list, holdCount }: Overview, colors: Colors): Section {
  const row = ({ key, kind, age, remaining, problem }: HoldOverview): Cell[] => [
    { text: key },
    { text: HOLD_WORDS[kind] ?? "", paint: colors.yellow },
    { text: span(age) },
    { text: span(remaining) },
    { text: problem },
  ];
  return { columns: HOLD_COLUMNS, rows: list.map(row), none: "", total: Number(holdCount) };
}
