/** Cases of the prose snapshot: tasks of which no eligible worker takes one now. */
import { ago, BROKE, held, member, QUARANTINE, TASK } from "./fixture.ts";
import { full, TURN, waiting } from "./made-facts.ts";
import type { ProseCase } from "./prose-case.ts";

const ALONE = { queue: { name: "default", weight: 1, others: [], otherCount: 0, otherWeight: 0 } };

export const BUSY_PROSE: readonly ProseCase[] = [
  {
    code: "MECHANISM_NOT_ACTING",
    when: "beyond the limit of its attempts",
    write: () =>
      waiting([full()], {
        task: { ...TASK, attemptCount: 5, failure: BROKE },
        withheld: { attempt_limits: { mode: "observe", schedulers: ["s-1", "s-2"], ageMs: 400 } },
      }),
  },
  {
    code: "WORKER_SUSPECT",
    when: "the only worker, and lost workers are not recovered",
    write: () =>
      waiting([member({ state: "suspect", candidate: { ready: false } })], {
        withheld: { recovery: { mode: "off", schedulers: ["s-1"], ageMs: 0 } },
      }),
  },
  {
    code: "WORKER_SUSPECT",
    when: "the only worker",
    write: () => waiting([member({ state: "suspect", candidate: { ready: false } })]),
  },
  {
    code: "WORKERS_DRAINING",
    when: "all workers",
    write: () => waiting([member({ candidate: { draining: true } })]),
  },
  {
    code: "WORKERS_DRAINING",
    when: "others are busy",
    write: () => waiting([full(), member({ id: "w-2", candidate: { draining: true } })]),
  },
  {
    code: "QUARANTINED",
    when: "one of the workers is, and the other is busy",
    write: () =>
      waiting([
        full(),
        member({
          id: "w-2",
          candidate: { quarantinedUntil: 1_000 },
          record: { sessionId: 2, quarantine: QUARANTINE },
        }),
      ]),
  },
  {
    code: "WORKERS_PAUSED",
    when: "by memory",
    write: () => waiting([member({ candidate: { pauseReason: "memory: 97 % used" } })]),
  },
  {
    code: "WORKERS_PAUSED",
    when: "by an operator",
    write: () =>
      waiting([
        member({
          record: { operatorPause: { reason: "new driver (by ada)", since: ago(90_000) } },
          candidate: { pauseReason: "paused by an operator: new driver (by ada)" },
        }),
        member({ id: "w-2", candidate: { pauseReason: "memory: 97 % used" } }),
      ]),
  },
  {
    code: "ALL_SLOTS_BUSY",
    when: "slots",
    write: () => waiting([full({ held: [held("t-3.1", "inference", 90_000)] })]),
  },
  {
    code: "ALL_SLOTS_BUSY",
    when: "other queues have work for the same workers",
    write: () => waiting([full()], { turn: TURN }),
  },
  {
    code: "ALL_SLOTS_BUSY",
    when: "other fairness keys and higher priorities go first",
    write: () =>
      waiting([full()], {
        turn: {
          ...ALONE,
          key: {
            ...{ name: "tenant-7", weight: 1, otherCount: 2, otherWeight: 3 },
            others: [
              { name: "tenant-1", weight: 2 },
              { name: "", weight: 1 },
            ],
          },
          next: { queue: "default", key: "tenant-1" },
          priority: { own: 0, first: 5, passesAt: ago(-12_000_000) },
        },
      }),
  },
  {
    code: "ALL_SLOTS_BUSY",
    when: "older tasks of a higher priority go first",
    write: () =>
      waiting([full()], { turn: { ...ALONE, priority: { own: 0, first: 1, passesAt: ago(600_000) } } }),
  },
  {
    code: "ALL_SLOTS_BUSY",
    when: "higher priorities go first, and do not age",
    write: () =>
      waiting([full()], { turn: { ...ALONE, priority: { own: 0, first: 1, passesAt: undefined } } }),
  },
  {
    code: "ALL_SLOTS_BUSY",
    when: "a type's concurrency",
    write: () => waiting([member({ candidate: { types: new Map([["ocr", { limit: 1, active: 1 }]]) } })]),
  },
  {
    code: "ALL_SLOTS_BUSY",
    when: "a type's concurrency that its worker adapts",
    write: () => {
      const adaptive = {
        ...{ limit: 3, min: 1, max: 8, previous: 4, changeAgeMs: 12_000 },
        reason: "3 of 11 attempts failed, more than 10 %",
      };
      return waiting([
        member({ candidate: { types: new Map([["ocr", { limit: 3, active: 3, adaptive }]]) } }),
      ]);
    },
  },
  {
    code: "ALL_SLOTS_BUSY",
    when: "a revoked attempt holds the oldest",
    write: () =>
      waiting([
        full({
          held: [{ ...held("t-3.1", "", 90_000), revoked: { forMs: 60_000, reason: "requeued:stale" } }],
        }),
      ]),
  },
  {
    code: "RUNS_ALONE",
    when: "a worker is reserved for it",
    write: () =>
      waiting(
        [
          member({
            candidate: { occupied: true, keptFreeUntil: 10_000, credit: 1 },
            more: { held: [held("t-3.1", "", 90_000)] },
          }),
        ],
        { task: { ...TASK, alone: true, requeueCounts: { deaths: 2, silences: 1 } } },
      ),
  },
  {
    code: "RUNS_ALONE",
    when: "its workers are reserved for others",
    write: () =>
      waiting([member({ candidate: { runsAlone: true }, more: { held: [held("t-3.1", "", 90_000)] } })]),
  },
];
