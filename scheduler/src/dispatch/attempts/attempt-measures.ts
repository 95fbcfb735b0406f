/** What the handler of an attempt has reported of its measurements and facts. */
import { type Facts, mergeFacts } from "@muster/common/facts";
import { type HandlerReport, type MetricSums, withSums } from "../../domain/tasks/attempts/handler-report.ts";
import type { AttemptSums } from "../../store/store.ts";

/** Made at first use: most handlers measure nothing. */
export class AttemptMeasures {
  #sums: MetricSums = {};
  #facts: Facts = {};
  #refusalLogged = false;

  /** For the failure of the attempt. */
  get facts(): Facts {
    return this.#facts;
  }

  /** A report: what is to be written, undefined when nothing has changed, and how many entries are left out, once an attempt. */
  note({ metrics, facts, refusedCount }: HandlerReport): {
    readonly changed: Pick<AttemptSums, "facts" | "sums"> | undefined;
    readonly refused: number;
  } {
    const { sums, leftOut } = withSums(this.#sums, metrics);
    // A later value replaces an earlier one of its name.
    const merged = mergeFacts(facts, this.#facts);
    const hasChanged = sums !== this.#sums || JSON.stringify(merged) !== JSON.stringify(this.#facts);
    this.#sums = sums;
    this.#facts = merged;
    const refused = this.#refusalLogged ? 0 : refusedCount + leftOut;
    if (refused > 0) this.#refusalLogged = true;
    return { changed: hasChanged ? { sums, facts: merged } : undefined, refused };
  }
}
