/** Parses the id of a task, worker, queue, schedule or pool. */
import { CliError } from "../errors.ts";
import { ExitCode } from "../exit-codes.ts";

/** What an id may name. */
export type SubjectKind = "task" | "worker" | "queue" | "schedule" | "pool";

/** An id and the kind of thing that it may name. */
export interface Subject {
  readonly kind: SubjectKind;
  readonly id: string;
}

/**
 * The lookups for a user's argument, in order. `worker:gpu-7` is first looked up as a worker. Then, because ids may
 * contain colons, the whole text is looked up among all kinds, as for a bare id.
 */
export function candidates(text: string, kinds: readonly SubjectKind[]): Subject[] {
  const prefix = kinds.find((kind) => text.startsWith(`${kind}:`));
  return [
    ...(prefix === undefined ? [] : [{ kind: prefix, id: text.slice(prefix.length + 1) }]),
    ...kinds.map((kind) => ({ kind, id: text })),
  ];
}

/** The error for an id that names nothing. */
export function nothingNamed(text: string, kinds: readonly SubjectKind[]): CliError {
  return new CliError(`no ${kinds.slice(0, -1).join(", ")} or ${kinds.at(-1)} has the id "${text}"`, {
    exitCode: ExitCode.NOT_FOUND,
    reason: "NOT_FOUND",
    remedy: `${kinds.map((kind) => (kind === "pool" ? "`muster pool list`" : `\`muster ${kind}s\``)).join(", ")} list them`,
  });
}
