/** Parses the circuit breaker of a task. */
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { parseDuration } from "@muster/common/duration";
import { type CircuitRule, CircuitRuleSchema } from "@muster/protocol";

/** Names of the parts of the option, as the help shows them. */
const NAMES = "rate, window, samples, open, max-open, probes";

/** A parser of `key,name=value,...`; an empty key is the task's type. */
export function circuitRule(text: string): CircuitRule {
  const [key = "", ...parts] = text.split(",");
  const rule = create(CircuitRuleSchema, { key });
  for (const part of parts) {
    const at = part.indexOf("=");
    set(rule, part.slice(0, at), part.slice(at + 1), part);
  }
  return rule;
}

function set(rule: CircuitRule, name: string, value: string, part: string): void {
  switch (name) {
    case "rate":
      rule.failureRate = number(value, part);
      return;
    case "samples":
      rule.minSamples = number(value, part);
      return;
    case "probes":
      rule.probes = number(value, part);
      return;
    case "window":
      rule.window = length(value);
      return;
    case "open":
      rule.openFor = length(value);
      return;
    case "max-open":
      rule.maxOpenFor = length(value);
      return;
    default:
      throw new RangeError(`"${part}" is none of: ${NAMES}, each as name=value`);
  }
}

function number(value: string, part: string): number {
  if (/^\d+(\.\d+)?$/.test(value) && Number(value) <= 2_147_483_647) return Number(value);
  throw new RangeError(`"${part}" has no number, for example rate=0.5`);
}

function length(value: string) {
  return durationFromMs(parseDuration(value));
}
