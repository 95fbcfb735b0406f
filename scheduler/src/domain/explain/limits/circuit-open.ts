/** `CIRCUIT_OPEN`: the tasks that share the circuit of the task have failed too often. */
import { formatAttemptId } from "../../ids.ts";
import {
  type Circuit,
  type CircuitAsked,
  type CircuitFailure,
  circuitLimit,
  countsOf,
} from "../../tasks/limits/circuit.ts";
import { type Evidence, plural, type Reason, span } from "../reason.ts";
import { shellWord } from "../shell-word.ts";

/** The reason of a circuit that lets no further task start; none of one that does. */
export function circuitOpen(
  { circuit, active }: CircuitAsked,
  since: Date | undefined,
  now: Date,
): Reason | undefined {
  const limit = circuitLimit(circuit);
  if (limit === undefined || active < limit) return undefined;
  const name = JSON.stringify(circuit.key);
  const reset = `\`muster circuit reset ${shellWord(circuit.key)} --reason REASON\``;
  const common = { code: "CIRCUIT_OPEN", since, evidence: evidenceOf(circuit, active) } as const;
  const held = span(now.getTime() - circuit.since);
  if (circuit.state === "half_open")
    return {
      ...common,
      summary: `the circuit ${name} has been half-open for ${held} and lets at most ${plural(limit, "task")} run at once: ${plural(active, "task")} with it ${active === 1 ? "runs" : "run"}; ${causeOf(circuit)}`,
      remedy: `it starts by itself when one of them ends and the circuit is still half-open or closed; run ${reset} to let all of them start now`,
    };
  const probe =
    circuit.probeAt === undefined
      ? "it waits for an operator"
      : `the first probe may start in ${span(Math.max(0, circuit.probeAt - now.getTime()))}`;
  return {
    ...common,
    summary: `the circuit ${name} has been open for ${held}: ${causeOf(circuit)}; ${probe}`,
    remedy:
      circuit.probeAt === undefined
        ? `run ${reset} when the reason is gone`
        : `fix what the failures name; probes start by themselves, or run ${reset} to let its tasks start now`,
  };
}

/** Why it opened, as a clause. */
function causeOf(circuit: Circuit): string {
  if (circuit.openReason !== undefined) return `opened by an operator: ${circuit.openReason}`;
  const { succeeded, failed } = countsOf(circuit, circuit.since);
  const [last] = circuit.failures;
  const again = circuit.openCount > 1 ? `, and ${plural(circuit.openCount - 1, "probe")} failed since` : "";
  const latest = last ? `; the last error was ${described(last)}` : "";
  return `${failed} of ${plural(succeeded + failed, "result")} in its window were failures${again}${latest}`;
}

function evidenceOf(circuit: Circuit, active: number): Evidence[] {
  const { succeeded, failed } = countsOf(circuit, circuit.since);
  const { rule, probeAt, openReason, failures } = circuit;
  const fact = (key: string, value: string): Evidence => ({ key, value, source: "database" });
  return [
    fact("circuit", circuit.key),
    fact("state", circuit.state),
    fact("failed", String(failed)),
    fact("succeeded", String(succeeded)),
    ...(rule ? [fact("failure_rate", String(rule.failureRate)), fact("probes", String(rule.probes))] : []),
    fact("open_count", String(circuit.openCount)),
    fact("active", String(active)),
    ...(probeAt === undefined ? [] : [fact("probe_time", new Date(probeAt).toISOString())]),
    ...(openReason === undefined ? [] : [fact("open_reason", openReason)]),
    ...failures.map((failure) => fact("failure", described(failure))),
  ];
}

function described(failure: CircuitFailure): string {
  return `${failure.code} of ${formatAttemptId(failure)}${failure.message === "" ? "" : ` (${failure.message})`}`;
}
