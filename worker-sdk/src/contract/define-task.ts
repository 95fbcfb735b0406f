/** Makes the definition of a task: of a type with its schemas, or of a handler for the option `tasks`. */
import { NAME, NAME_RULE } from "@muster/common/text/name-forms";
import { checkSpec } from "../client/submit/spec-checks.ts";
import { SPEC_NAMES } from "../client/submit/spec-names.ts";
import type { SubmitSpec } from "../client/submit/submit-spec.ts";
import { unknownOptions } from "../options/known-options.ts";
import { OptionsError } from "../options/options-error.ts";
import {
  type AnyPhaseDeclarations,
  type PhaseDeclarations,
  phaseFaults,
} from "../options/task-types/phase-declarations.ts";
import type { TaskDefinition } from "../options/task-types/task-definition.ts";
import { declarationFaults, type ErrorDeclarations } from "./declared-errors.ts";
import { isSchema, type Schema, type SchemaOutput } from "./schema.ts";
import { type SubmitDefaults, TaskContract } from "./task-contract.ts";

/**
 * A task type for `defineTask`. Every option of a submit is accepted, too: as a default, or as a function of the input.
 */
export type ContractOptions<
  Input extends Schema = Schema,
  Output extends Schema = Schema,
  Errors extends ErrorDeclarations = ErrorDeclarations,
> = {
  /** Task type, for example `image.resize`. */
  readonly type: string;
  /**
   * Standard Schema (zod, valibot, arktype, ...) of the input. It is checked at the submit and at the worker.
   * @default every input is accepted
   */
  readonly input?: Input;
  /**
   * Standard Schema of the result. It is checked at the worker and at the caller.
   * @default every result is accepted
   */
  readonly output?: Output;
  /**
   * Errors that the handler throws with `task.error()`, by code: the schema of the details, or a declaration.
   * @default none
   */
  readonly errors?: Errors;
  /**
   * Phases of the handler, by name: thresholds and limits, which may depend on the input. A phase need not be declared.
   * @default none
   */
  readonly phases?: PhaseDeclarations<SchemaOutput<Input>>;
} & SubmitDefaults<SchemaOutput<Input>>;

/**
 * Defines a task type: its schemas, errors and options, shared by its handler and its callers. The module that does so
 * needs neither. With a `handler` and without a `type` it types an entry of the option `tasks` and returns it unchanged.
 *
 * @throws OptionsError with every fault.
 *
 * @example
 * ```ts
 * export const greet = defineTask({
 *   type: "greet",
 *   input: z.object({ name: z.string() }),
 *   output: z.string(),
 * });
 * worker.handle(greet, (input) => `Hello, ${input.name}!`);
 * const text = await greet.run(client, { name: "Ada" });
 * ```
 */
export function defineTask<
  Input extends Schema = Schema,
  Output extends Schema = Schema,
  Errors extends ErrorDeclarations = Record<never, never>,
>(definition: ContractOptions<Input, Output, Errors>): TaskContract<Input, Output, Errors>;
/**
 * Types an entry of the option `tasks` that is written outside of `new Worker`; returns it unchanged.
 *
 * @example
 * ```ts
 * const greet = defineTask({
 *   input: z.object({ name: z.string() }),
 *   handler: (ctx) => `Hello, ${ctx.payload.name}!`,
 * });
 * ```
 */
export function defineTask<Input = unknown>(
  definition: TaskDefinition<Input> & { readonly type?: never },
): TaskDefinition<Input>;
export function defineTask(definition: ContractOptions | TaskDefinition<unknown>): unknown {
  const given = Object(definition);
  if (!("type" in given) && "handler" in given) return definition;
  return contractOf(given);
}

function contractOf(given: Readonly<Record<string, unknown>>): TaskContract {
  const { type, input, output, errors = {}, handler, phases, ...defaults } = given;
  const faults: string[] = [];
  if (typeof type !== "string" || !NAME.test(type)) faults.push(`option type: ${shown(type)} ${NAME_RULE}`);
  for (const [name, schema] of Object.entries({ input, output })) {
    if (schema !== undefined && !isSchema(schema))
      faults.push(`option ${name}: is not a Standard Schema (zod, valibot, arktype, ...)`);
  }
  if (handler !== undefined)
    faults.push(
      "option handler: a definition with a type has no handler; give it to worker.handle(task, handler)",
    );
  const hasErrors = typeof errors === "object" && errors !== null;
  if (hasErrors) faults.push(...declarationFaults(errors as ErrorDeclarations));
  else faults.push(`option errors: is ${shown(errors)}; give an object of codes`);
  faults.push(...phaseFaults(phases));
  const subject = typeof type === "string" && type !== "" ? `Task ${type}` : "defineTask";
  faults.push(...defaultFaults(defaults));
  if (faults.length > 0) throw new OptionsError(subject, faults);
  return Object.freeze(
    new TaskContract({
      type: type as string,
      input: input as Schema | undefined,
      output: output as Schema | undefined,
      errors: errors as ErrorDeclarations,
      phases: phases as AnyPhaseDeclarations | undefined,
      defaults: Object.freeze(defaults) as SubmitDefaults<never>,
    }),
  );
}

/** The faults of defaults that are values; those of functions are found at the submit. */
function defaultFaults(defaults: Readonly<Record<string, unknown>>): readonly string[] {
  const faults = ["payload"]
    .filter((name) => name in defaults)
    .map((name) => `option ${name}: belongs to a submit; give it to client.submit(task, input)`);
  const functions = Object.entries(defaults).filter(([, value]) => typeof value === "function");
  faults.push(...unknownOptions(Object.fromEntries(functions), SPEC_NAMES));
  const values = Object.entries(defaults).filter(([, value]) => typeof value !== "function");
  if (typeof defaults.concurrency === "number")
    return [
      ...faults,
      `option concurrency: ${defaults.concurrency} is not a list of concurrency keys; the attempts that a worker runs ` +
        "at once are an option of worker.handle(task, handler, { concurrency })",
    ];
  try {
    checkSpec({ ...(Object.fromEntries(values) as Omit<SubmitSpec, "type">), type: "task" });
    return faults;
  } catch (error) {
    if (error instanceof OptionsError) return [...faults, ...error.faults];
    throw error;
  }
}

function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value.slice(0, 64)) : String(value);
}
