/** Checks the definitions of the task types of a worker. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { TaskContract } from "../../contract/task-contract.ts";
import { compileIsolate } from "../../isolate/isolate-options.ts";
import type { CompiledTask } from "../compiled-options.ts";
import { type OptionNames, unknownOptions } from "../known-options.ts";
import { checkNames } from "../option-checks.ts";
import {
  type AdaptiveConcurrency,
  concurrencyFaults,
  limitsOf,
  MAX_ADAPTIVE_TYPES,
} from "./adaptive-concurrency.ts";
import { type AnyPhaseDeclarations, phaseFaults } from "./phase-declarations.ts";
import type { AnyHandler, TaskDefinitions } from "./task-definition.ts";

const TASK_NAMES: OptionNames<AnyDefinition> = {
  input: true,
  output: true,
  concurrency: true,
  phases: true,
  handler: true,
  isolate: true,
};

/** A definition whose types no longer matter. */
export interface AnyDefinition {
  readonly input?: StandardSchemaV1;
  readonly output?: StandardSchemaV1;
  readonly concurrency?: number | AdaptiveConcurrency<never>;
  readonly phases?: AnyPhaseDeclarations;
  readonly handler: AnyHandler;
  readonly isolate?: unknown;
}

export function compileTasks<Inputs, Services, TaskServices>(
  tasks: TaskDefinitions<Inputs, Services, TaskServices> | undefined,
  slots: number,
  faults: string[],
): Map<string, CompiledTask> {
  const compiled = new Map<string, CompiledTask>();
  const types = Object.keys(tasks ?? {});
  if (tasks !== undefined && types.length === 0)
    faults.push("option tasks: is empty; register at least one task type");
  if (types.length > 1000) faults.push(`option tasks: ${types.length} types; at most 1000`);
  checkNames("tasks", types, faults);
  const adaptive = Object.values(tasks ?? {}).filter(
    (task) => typeof concurrencyOf(task) === "object",
  ).length;
  if (adaptive > MAX_ADAPTIVE_TYPES)
    faults.push(`option tasks: the concurrency of ${adaptive} types adapts; at most ${MAX_ADAPTIVE_TYPES}`);
  for (const [type, definition] of Object.entries<AnyDefinition | AnyHandler>(tasks ?? {})) {
    const full: AnyDefinition = typeof definition === "function" ? { handler: definition } : definition;
    if (typeof full?.handler !== "function") {
      const remedy =
        definition instanceof TaskContract
          ? "is a definition with a type: call worker.handle(task, handler) for it"
          : "has no handler; give a function or { handler }";
      faults.push(`option tasks["${type}"]: ${remedy}`);
      continue;
    }
    if (full !== definition || !(definition instanceof TaskContract))
      faults.push(...unknownOptions(full, TASK_NAMES, `tasks["${type}"].`));
    const { input, output, concurrency, phases } = full;
    faults.push(...phaseFaults(phases).map((fault) => fault.replace("option ", `option tasks["${type}"].`)));
    for (const [name, schema] of Object.entries({ input, output })) {
      if (schema !== undefined && typeof schema["~standard"]?.validate !== "function") {
        faults.push(`option tasks["${type}"].${name}: is not a Standard Schema (zod, valibot, arktype, ...)`);
      }
    }
    // 0 was taken for "as many as the slots" before.
    if (concurrency !== 0)
      faults.push(...concurrencyFaults(concurrency).map((fault) => `option tasks["${type}"].${fault}`));
    const { handler } = full;
    const limits = limitsOf(concurrency, slots);
    const isolateFaults: string[] = [];
    const isolate = compileIsolate(full.isolate, concurrency, isolateFaults);
    faults.push(...isolateFaults.map((fault) => `option tasks["${type}"].${fault}`));
    compiled.set(type, { type, input, output, ...limits, contract: false, handler, phases, isolate });
  }
  return compiled;
}

/** What a definition says of its concurrency, whatever that is. */
export function concurrencyOf(definition: unknown): unknown {
  return typeof definition === "function" ? undefined : Object(definition).concurrency;
}
