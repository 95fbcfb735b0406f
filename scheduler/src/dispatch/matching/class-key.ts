/** The key by which a class is found in memory: what makes it, as text. */
import { ruleValues } from "../../domain/tasks/limits/circuit.ts";
import { identityOf } from "../../domain/tasks/limits/concurrency.ts";
import type { WantedClass } from "../../store/store.ts";

export function memoryKey(wanted: WantedClass): string {
  const { queue, type, requirements, concurrency, rateLimits, circuit, fairness } = wanted;
  const labels = Object.entries(requirements.labels);
  const { resources, cost } = requirements;
  const hasKeys = [concurrency, rateLimits, circuit, fairness].some((each) => each !== undefined);
  const isPlain = labels.length === 0 && resources.length === 0 && !hasKeys && cost === undefined;
  if (isPlain) return `${queue}\n${type}`;
  return JSON.stringify([
    queue,
    type,
    labels.sort(([a], [b]) => (a < b ? -1 : 1)),
    [...resources].sort(),
    concurrency && identityOf(concurrency),
    cost?.map(({ name, amount }) => [name, amount]),
    rateLimits?.map(({ key, limit, periodMs, burst }) => [key, limit, periodMs, burst]),
    circuit && ruleValues(circuit),
    fairness && [fairness.key, fairness.weight],
  ]);
}
