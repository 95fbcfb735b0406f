/** Explains what a worker does, or how it ended. */

import type { Explanation } from "../../domain/explain/reason.ts";
import { CONTEST_OVER_MS, explainContest } from "../../domain/explain/workers/contested.ts";
import { killRequested } from "../../domain/explain/workers/kill-requested.ts";
import { explainExit, explainLaunching, explainSilence } from "../../domain/explain/workers/launch.ts";
import { machineEnds } from "../../domain/explain/workers/machine-ends.ts";
import { explainGone, explainLiving, type WaitingClass } from "../../domain/explain/workers/worker.ts";
import { hasRegistered, type WorkerRecord, workerState } from "../../domain/workers/worker.ts";
import { BACKLOG_AGE_MS, type ExplainerParts, readDatabaseClock } from "./explainer-parts.ts";
import { readWithheld } from "./withheld.ts";

/** What is recorded when a session ends. */
const END_EVENTS = ["worker.lost", "worker.fatal", "worker.gone"];

export class WorkerExplainer {
  readonly #parts: ExplainerParts;

  constructor(parts: ExplainerParts) {
    this.#parts = parts;
  }

  async explain(record: WorkerRecord): Promise<Explanation> {
    const { store, fleet, classes, backlog } = this.#parts;
    const clock = await readDatabaseClock(this.#parts);
    const now = clock();
    if (record.goneTime) {
      const state = workerState(record, now);
      const end = await store.lastWorkerEvent(record.workerId, record.sessionId, END_EVENTS);
      const silentMs = end?.attributes.silent_ms;
      const facts = {
        // A repeated fatal report ends the session later than its event was written.
        silentMs:
          end && silentMs !== undefined
            ? Number(silentMs) + (record.goneTime.getTime() - end.time.getTime())
            : undefined,
        held: end && (end.attributes.held ?? ""),
      };
      const reasons = explainExit(record, now) ?? explainSilence(record, now) ?? [explainGone(record, facts)];
      return {
        subject: record.workerId,
        state,
        // The process of a session that was given up may still run.
        reasons: [...killRequested(record.launch, now), ...machineEnds(record.launch, now), ...reasons],
      };
    }
    if (record.launch && !hasRegistered(record)) {
      const reasons = [
        ...killRequested(record.launch, now),
        ...machineEnds(record.launch, now),
        explainLaunching(
          record.launch,
          now,
          this.#parts.silentAfterMs,
          await store.earlierStarts([record.launch]),
        ),
      ];
      return { subject: record.workerId, state: workerState(record, now), reasons };
    }
    await classes.learn();
    const counts = await backlog.read(BACKLOG_AGE_MS);
    const waiting = [...counts].flatMap(([classId, ready]): WaitingClass[] => {
      const taskClass = classes.get(classId)?.taskClass;
      return taskClass
        ? [{ taskClass, ready, queuePaused: this.#parts.pausedQueues.isPaused(taskClass.queue) }]
        : [];
    });
    const contests = await store.listContests({
      workerId: record.workerId,
      withinMs: CONTEST_OVER_MS,
      limit: 1,
    });
    const earlier = record.ready
      ? []
      : await store.earlierStarts([{ workerId: record.workerId, pool: record.hello.pool }]);
    const readAt = clock();
    const member = fleet.member(record, readAt);
    const withheld = await readWithheld(this.#parts, undefined, record.schedulerId, readAt);
    return {
      subject: record.workerId,
      state: member.state,
      reasons: [
        ...killRequested(record.launch, readAt),
        ...machineEnds(record.launch, readAt),
        ...contests.map((contest) => explainContest(contest, readAt)),
        ...explainLiving(member, waiting, readAt, withheld, earlier),
      ],
    };
  }
}
