/** Cases of the prose snapshot: tasks that could start, but for the database or the dispatch loop. */
import { withLock } from "../../database/database-lock.ts";
import type { FleetMember } from "../fleet.ts";
import { databaseUnavailable } from "../outage.ts";
import type { DispatchFacts } from "../waiting/delayed.ts";
import { ago, member, TASK } from "./fixture.ts";
import { DISPATCH, LOCK, OUTAGE, TURN, waiting } from "./made-facts.ts";
import type { ProseCase } from "./prose-case.ts";

const delayed = (fleet: readonly FleetMember[], facts: Partial<DispatchFacts>, task = TASK) =>
  waiting(fleet, { task, dispatch: { ...DISPATCH, ...facts } });

const elsewhere = member({ record: { schedulerId: "s-2" }, more: { elsewhere: true, ageMs: 300 } });

export const DELAY_PROSE: readonly ProseCase[] = [
  { code: "DATABASE_UNAVAILABLE", when: "unreachable", write: () => [databaseUnavailable(OUTAGE)] },
  {
    code: "DATABASE_UNAVAILABLE",
    when: "locked",
    write: () => [databaseUnavailable({ ...OUTAGE, error: "a lock", condition: "locked", lock: LOCK })],
  },
  {
    code: "DISPATCH_DELAYED",
    when: "its assignment is next",
    write: () => delayed([member()], {}, { ...TASK, readyTime: ago(500) }),
  },
  { code: "DISPATCH_DELAYED", when: "for 60 s", write: () => delayed([member()], {}) },
  {
    code: "DISPATCH_DELAYED",
    when: "older tasks go first",
    write: () => delayed([member()], { aheadCount: 12 }),
  },
  {
    code: "DISPATCH_DELAYED",
    when: "older tasks and other queues go first",
    write: () => waiting([member()], { dispatch: { ...DISPATCH, aheadCount: 12 }, turn: TURN }),
  },
  {
    code: "DISPATCH_DELAYED",
    when: "the claim waits",
    write: () => delayed([member()], { claimingMs: 4_000 }),
  },
  {
    code: "DISPATCH_DELAYED",
    when: "the claim waits for a lock",
    write: () => withLock(delayed([member()], { claimingMs: 4_000 }), LOCK),
  },
  {
    code: "DISPATCH_DELAYED",
    when: "the dispatch loop failed",
    write: () => delayed([member()], { lastError: "out of shared memory" }),
  },
  {
    code: "DISPATCH_DELAYED",
    when: "the worker is at another scheduler",
    write: () => delayed([elsewhere], { otherSchedulers: new Set(["s-2"]) }),
  },
  {
    code: "DISPATCH_DELAYED",
    when: "the other scheduler does not answer",
    write: () => delayed([elsewhere], {}),
  },
  {
    code: "DISPATCH_DELAYED",
    when: "the worker left an assignment unanswered",
    write: () => waiting([member({ candidate: { acceptStalledUntil: 9_000 } })]),
  },
];
