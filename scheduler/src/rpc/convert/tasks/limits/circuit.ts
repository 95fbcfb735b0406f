// Circuits and their rules in protobuf, checked, and back.

import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type CircuitRule as CircuitRuleMessage,
  type CircuitRuleSchema,
  type CircuitSchema,
  CircuitState,
} from "@muster/protocol";
import { formatAttemptId } from "../../../../domain/ids.ts";
import {
  type CircuitRule,
  circuitLock,
  countsOf,
  DEFAULT_CIRCUIT_RULE,
  type CircuitState as DomainCircuitState,
} from "../../../../domain/tasks/limits/circuit.ts";
import { type ConcurrencyKey, inKeyOrder } from "../../../../domain/tasks/limits/concurrency.ts";
import type { CircuitRow } from "../../../../store/store.ts";
import { optional } from "../../values/optional.ts";
import { durationFault, durationFromMs, timestampFromMs, toMs } from "../../values/time.ts";
import type { Report } from "../options.ts";
import { keyFault } from "./concurrency.ts";

const DAY_MS = 86_400_000;
const MIN_MS = 1_000;
const MAX_SAMPLES = 100_000;
const MAX_PROBES = 100;

const STATES: Readonly<Record<DomainCircuitState, CircuitState>> = {
  closed: CircuitState.CLOSED,
  open: CircuitState.OPEN,
  half_open: CircuitState.HALF_OPEN,
};

/**
 * The circuit of a task with its concurrency key among the others of the task.
 *
 * @param type Type of the task: the key of a circuit without one.
 */
export function toCircuit(
  message: CircuitRuleMessage | undefined,
  { type, concurrency }: { type: string; concurrency: readonly ConcurrencyKey[] | undefined },
  report: Report,
): { concurrency: readonly ConcurrencyKey[] | undefined; circuit?: CircuitRule } {
  if (message === undefined) return { concurrency };
  const circuit = toRule(message, type, report);
  return { circuit, concurrency: inKeyOrder([...(concurrency ?? []), circuitLock(circuit.key)]) };
}

function toRule(message: CircuitRuleMessage, type: string, report: Report): CircuitRule {
  const { failureRate, minSamples, probes } = message;
  const key = message.key || type;
  const fault = message.key === "" ? undefined : keyFault(key);
  if (fault !== undefined) report("circuit.key", fault);
  if (!(failureRate >= 0 && failureRate <= 1))
    report("circuit.failure_rate", `${failureRate} is not more than 0 and at most 1; 0 means 0.5`);
  const count = (field: string, value: number, max: number) => {
    if (value < 0 || value > max)
      report(`circuit.${field}`, `${value} is not between 1 and ${max}; 0 is the default`);
  };
  count("min_samples", minSamples, MAX_SAMPLES);
  count("probes", probes, MAX_PROBES);
  const length = (
    field: "window" | "openFor" | "maxOpenFor",
    name: string,
    maxMs: number,
    standard: number,
  ) => {
    const value = message[field];
    if (value === undefined) return standard;
    const wrong = durationFault(value, maxMs);
    const ms = toMs(value) ?? standard;
    if (wrong !== undefined || ms < MIN_MS)
      report(`circuit.${name}`, `${ms / 1_000} s is not between 1 s and ${maxMs / 1_000} s`);
    return ms;
  };
  const standard = DEFAULT_CIRCUIT_RULE;
  const openForMs = length("openFor", "open_for", DAY_MS, standard.openForMs);
  const maxOpenForMs = length(
    "maxOpenFor",
    "max_open_for",
    7 * DAY_MS,
    Math.max(openForMs, standard.maxOpenForMs),
  );
  if (maxOpenForMs < openForMs)
    report(
      "circuit.max_open_for",
      `${maxOpenForMs / 1_000} s is less than open_for (${openForMs / 1_000} s); give at least that`,
    );
  return {
    key,
    failureRate: failureRate || standard.failureRate,
    windowMs: length("window", "window", DAY_MS, standard.windowMs),
    minSamples: minSamples || standard.minSamples,
    openForMs,
    maxOpenForMs,
    probes: probes || standard.probes,
  };
}

/** A rule in protobuf. */
export function fromCircuitRule(rule: CircuitRule): MessageInitShape<typeof CircuitRuleSchema> {
  const { key, failureRate, minSamples, probes } = rule;
  return {
    ...{ key, failureRate, minSamples, probes },
    window: durationFromMs(rule.windowMs),
    openFor: durationFromMs(rule.openForMs),
    maxOpenFor: durationFromMs(rule.maxOpenForMs),
  };
}

/** A circuit in protobuf. */
export function fromCircuit({ circuit, active, readAt }: CircuitRow): MessageInitShape<typeof CircuitSchema> {
  const { succeeded, failed } = countsOf(circuit, readAt);
  const { probeAt } = circuit;
  return {
    key: circuit.key,
    state: STATES[circuit.state],
    stateTime: timestampFromMs(circuit.since),
    ...optional("rule", circuit.rule && fromCircuitRule(circuit.rule)),
    succeededCount: BigInt(succeeded),
    failedCount: BigInt(failed),
    failures: circuit.failures.map((failure) => ({
      attemptId: formatAttemptId(failure),
      code: failure.code,
      message: failure.message,
      time: timestampFromMs(failure.at),
    })),
    ...optional("probeTime", probeAt === undefined ? undefined : timestampFromMs(probeAt)),
    openCount: circuit.openCount,
    probeSuccessCount: circuit.probesSucceeded,
    openReason: circuit.openReason ?? "",
    activeCount: BigInt(active),
  };
}
