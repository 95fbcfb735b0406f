import assert from "node:assert/strict";
import type { Reason } from "@muster/protocol";

/** What a reason must contain to be enough by itself. */
export interface ExpectedReason {
  /** The one sentence. */
  readonly summary: RegExp;
  /** By key: a fact that has to be there; one of several of the key is enough. */
  readonly evidence: Readonly<Record<string, RegExp>>;
  /** What to do. */
  readonly remedy: RegExp;
  /** False for a reason that has no beginning; true by default. */
  readonly since?: boolean;
}

/** Values of code that a sentence must not contain. */
const SLIP = /undefined|NaN|\[object|null\b|\$\{/;

/** Fails unless the reason says all of it; the error has the whole reason and everything that it lacks. */
export function assertReason(
  reason: Reason,
  { summary, evidence, remedy, since = true }: ExpectedReason,
): void {
  const lacks: string[] = [];
  if (!summary.test(reason.summary)) lacks.push(`summary ${summary}`);
  if (!remedy.test(reason.remedy)) lacks.push(`remedy ${remedy}`);
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
    summary: new RegExp(
      `^it stopped answering: its last beat came .+ before it was given up; lease and grace ran out; what it held was requeued: ${literal(held)}$`,
    ),
    evidence: {
      held: new RegExp(`^${literal(held)}$`),
      last_beat: /^\d{4}-.+Z, .+ before it was given up$/,
      process: new RegExp(`^pid ${pid} on `),
    },
    remedy: new RegExp(`whether process ${pid} lives .*killed for memory.* may register again at any time$`),
  };
}

/** `SUSPECT`, by its stream or its heartbeats: how long it may stay away, and what happens then. */
export function suspect({ pid }: { readonly pid: number | undefined }): ExpectedReason {
  return {
    summary: /^its (stream dropped|beats stopped); the last beat came .+ ago; it is given up in .+$/,
    evidence: { grace_left: /s$/, process: new RegExp(`^pid ${pid} on `) },
    remedy: new RegExp(
      `^it returns by itself, or is given up in .+ and what it holds is requeued; look on .+ whether process ${pid} lives`,
    ),
  };
}

/** `WORKER_SUSPECT` of a task that the worker holds. */
export function holderSuspect(worker: string): ExpectedReason {
  return {
    summary: new RegExp(
      `^${literal(worker)}, which holds it, does not answer; its last beat came .+ ago, and it is given up in .+$`,
    ),
    evidence: { worker: new RegExp(`^${literal(worker)}$`), grace_left: /s$/ },
    remedy: new RegExp(
      `^it returns, or in .+ the task is given to another worker by itself; .*muster why ${literal(worker)}$`,
    ),
  };
}

/** `BUSY` with the first attempt of the task. */
export function busy(taskId: string): ExpectedReason {
  return {
    summary: /^it runs 1 attempt in \d+ slots?$/,
    evidence: { attempt: new RegExp(`^${taskId}\\.1 .*for `) },
    remedy: /^nothing to do$/,
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
