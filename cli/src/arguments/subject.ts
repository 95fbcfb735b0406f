import { CliError } from "../errors.ts";
import { ExitCode } from "../exit-codes.ts";

/** What an id may name. */
export type SubjectKind = "task" | "worker" | "queue";

/** An id with what it may be the id of. */
export interface Subject {
  readonly kind: SubjectKind;
  readonly id: string;
}

/**
 * Where to look for what the user named, in order: `worker:gpu-7` first as a worker; then, because ids
 * may hold colons themselves, and for a bare id, as a whole among all kinds.
 */
export function candidates(text: string, kinds: readonly SubjectKind[]): Subject[] {
  const said = kinds.find((kind) => text.startsWith(`${kind}:`));
  return [
    ...(said === undefined ? [] : [{ kind: said, id: text.slice(said.length + 1) }]),
    ...kinds.map((kind) => ({ kind, id: text })),
  ];
}

/** Nothing has this id. */
export function nothingNamed(text: string, kinds: readonly SubjectKind[]): CliError {
  return new CliError(`no ${kinds.slice(0, -1).join(", ")} or ${kinds.at(-1)} has the id "${text}"`, {
    exitCode: ExitCode.NOT_FOUND,
    reason: "NOT_FOUND",
    remedy: `${kinds.map((kind) => `\`muster ${kind}s\``).join(", ")} list them`,
  });
}
