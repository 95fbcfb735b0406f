/** The screen of `muster top` that explains a task or a worker. */
import type { Explanation } from "@muster/protocol";
import type { Io } from "../io/io.ts";
import { explanationLines } from "../output/tasks/explanation-view.ts";
import { cut, oneLine } from "../output/text.ts";
import type { Subject } from "./navigation.ts";

/** What is known of an opened task or worker. */
export interface Opened {
  readonly subject: Subject;
  /** The last answer; undefined before the first. */
  readonly explanation: Explanation | undefined;
  /** Error of the last request; undefined when it succeeded. */
  readonly failure: string | undefined;
}

const HELP = "Esc goes back   j k scroll   q quits";

/** The lines of the screen, and how many can be scrolled off its top. */
export function renderExplained(
  { subject, explanation, failure }: Opened,
  scrolled: number,
  size: { readonly columns: number; readonly rows: number },
  { stdout, clock }: Pick<Io, "clock" | "stdout">,
): { readonly lines: string[]; readonly most: number } {
  const { colors } = stdout;
  const head = failure === undefined ? [] : [colors.red(cut(oneLine(failure), size.columns)), ""];
  const waits = failure === undefined ? [colors.dim(`asks why ${subject.id} is as it is`)] : [];
  const text = explanation
    ? explanationLines(explanation, { columns: size.columns, isTTY: true, colors }, clock.now())
    : waits;
  const room = Math.max(1, size.rows - head.length - 2);
  const most = Math.max(0, text.length - room);
  const shown = text.slice(Math.min(scrolled, most), Math.min(scrolled, most) + room);
  const gap = Array.from({ length: Math.max(0, room - shown.length) }, () => "");
  return { lines: [...head, ...shown, ...gap, "", colors.dim(cut(HELP, size.columns))], most };
}
