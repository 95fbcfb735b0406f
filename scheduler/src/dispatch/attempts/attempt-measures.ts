/** What the handler of an attempt has reported of its measurements and facts. */
import { type Facts, mergeFacts } from "@muster/common/facts";
import { type HandlerReport, type MetricSums, withSums } from "../../domain/tasks/handler-report.ts";

/** Made at first use: most handlers measure nothing. */
export class AttemptMeasures {
  #sums: MetricSums = {};
  #facts: Facts = {};
  #refusalLogged = false;

  /** For the failure of the attempt. */
  get facts(): Facts {
    return this.#facts;
  }

  /** A report: the sums to write, undefined when none has grown, and how many entries are left out, counted once an attempt. */
  note({ metrics, facts, refusedCount }: HandlerReport): {
    readonly sums: MetricSums | undefined;
    readonly refused: number;
  } {
    const { sums, leftOut } = withSums(this.#sums, metrics);
    const grown = sums !== this.#sums;
    this.#sums = sums;
    // A later value replaces an earlier one of its name.
    this.#facts = mergeFacts(facts, this.#facts);
    const refused = this.#refusalLogged ? 0 : refusedCount + leftOut;
    if (refused > 0) this.#refusalLogged = true;
    return { sums: grown ? sums : undefined, refused };
  }
}
