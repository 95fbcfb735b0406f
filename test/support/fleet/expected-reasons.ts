/** Asserts the facts of a reason; its prose is in scheduler/src/domain/explain/prose.txt. */
import assert from "node:assert/strict";
import type { Reason } from "@muster/protocol";

/** The facts that a reason must contain. Its prose is in scheduler/src/domain/explain/prose.txt. */
export interface ExpectedReason {
  /** By key: a fact that has to be there; one of several of the key is enough. */
  readonly evidence: Readonly<Record<string, RegExp>>;
  /** Commands and settings that the remedy must name, for example `muster retry t-7`. */
  readonly commands?: readonly string[];
  /** False for a reason that has no beginning; true by default. */
  readonly since?: boolean;
}

/** Values of code that a sentence must not contain. */
const SLIP = /undefined|NaN|\[object|null\b|\$\{/;

/** Fails unless the reason has all of it; the error has the whole reason and everything that it lacks. */
export function assertReason(
  reason: Reason,
  { evidence, commands = [], since = true }: ExpectedReason,
): void {
  const lacks: string[] = [];
  if (reason.summary === "" || reason.remedy === "") lacks.push("a sentence or a remedy");
  for (const command of commands)
    if (!reason.remedy.includes(command)) lacks.push(`${command} in its remedy`);
  for (const [key, value] of Object.entries(evidence)) {
    const facts = reason.evidence.filter((fact) => fact.key === key);
    if (!facts.some((fact) => value.test(fact.value))) lacks.push(`evidence ${key} ${value}`);
  }
  if (since && reason.since === undefined) lacks.push("since when");
  const text = shown(reason);
  if (SLIP.test(`${reason.summary} ${reason.remedy}`)) lacks.push("a sentence without values of code");
  for (const { key, source } of reason.evidence) if (source === "") lacks.push(`the source of ${key}`);
  assert.deepEqual(lacks, [], `the reason lacks ${lacks.join(", ")}:\n${text}`);
}

/** `LOST`: which process, when it was last heard of, what became of what it held. */
export function lost({ pid }: { readonly pid: number | undefined }, held: string): ExpectedReason {
  return {
    evidence: {
      held: new RegExp(`^${literal(held)}$`),
      last_beat: /^\d{4}-.+Z, /,
      process: new RegExp(`^pid ${pid} on `),
    },
  };
}

/** `SUSPECT`, by its stream or its heartbeats: how long it may stay away, and what happens then. */
export function suspect({ pid }: { readonly pid: number | undefined }): ExpectedReason {
  return {
    evidence: { grace_left: /s$/, process: new RegExp(`^pid ${pid} on `) },
  };
}

/** `WORKER_SUSPECT` of a task that the worker holds. */
export function holderSuspect(worker: string): ExpectedReason {
  return {
    evidence: { worker: new RegExp(`^${literal(worker)}$`), grace_left: /s$/ },
    commands: [`muster why ${worker}`],
  };
}

/** `BUSY` with the first attempt of the task. */
export function busy(taskId: string): ExpectedReason {
  return {
    evidence: { attempt: new RegExp(`^${taskId}\\.1 .*for `) },
    since: false,
  };
}

/** The value of the reason's first fact of the key; empty when there is none. */
export function factOf(reason: Reason, key: string): string {
  return reason.evidence.find((fact) => fact.key === key)?.value ?? "";
}

function shown({ code, summary, evidence, remedy }: Reason): string {
  const facts = evidence.map(({ key, value, source }) => `  ${key}  ${value}  (${source})`);
  return [code, `  ${summary}`, ...facts, `  -> ${remedy}`].join("\n");
}

function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
