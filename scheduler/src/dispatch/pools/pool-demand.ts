/** Counts the waiting tasks for which pools are asked. */

import type { TaskClass } from "../../domain/matching/match.ts";
import { demandByPool, type PoolRoom, type WaitingClassCount } from "../../domain/pools/demand.ts";
import { launchedTemplate } from "../../domain/pools/rollout.ts";
import type { ClassStore, KnownPool } from "../../store/store.ts";
import type { Admission } from "../admission/admission.ts";
import type { Backlog } from "../matching/backlog.ts";
import type { ClassIndex } from "../matching/class-index.ts";

/** What the demand is read from. */
export interface PoolDemandParts {
  readonly store: Pick<ClassStore, "waitingTasks">;
  readonly admission: Pick<Admission, "admits">;
  readonly backlog: Pick<Backlog, "read">;
  readonly classes: Pick<ClassIndex, "get">;
}

/**
 * Tasks that could start now if there were a worker, by pool. Classes that an admission rule holds back do not count.
 *
 * @param maxAgeMs A count that is not older is good enough.
 * @throws DatabaseUnavailableError
 */
export async function readDemand(
  { store, admission, backlog, classes }: PoolDemandParts,
  pools: readonly KnownPool[],
  maxAgeMs: number,
): Promise<ReadonlyMap<string, number>> {
  const counted = [...(await backlog.read(maxAgeMs))].flatMap(([id, waiting]) => {
    const taskClass = classes.get(id)?.taskClass;
    return taskClass && waiting > 0 && admission.admits(taskClass) ? bySide(taskClass, waiting) : [];
  });
  const ages = new Map<number, number>();
  // Read only where an age decides.
  if (pools.some(({ pool }) => pool.spec.scale.minTaskAgeMs > 0)) {
    const first = await store.waitingTasks(
      counted.map(({ taskClass }) => taskClass.id),
      1,
    );
    for (const { classId, ageMs = 0 } of first) ages.set(classId, ageMs);
  }
  const waiting = counted.map(
    (each): WaitingClassCount => ({ ...each, ageMs: ages.get(each.taskClass.id) ?? 0 }),
  );
  return demandByPool(pools.map(roomOf), waiting);
}

/** Of a class with a ramp, how many tasks each side has, about. */
function bySide(taskClass: TaskClass, waiting: number): { taskClass: TaskClass; waiting: number }[] {
  const { builds } = taskClass;
  if (!builds?.ramp) return [{ taskClass, waiting }];
  const { build, share } = builds.ramp;
  const ofRamp = Math.round(waiting * share);
  const sides = [
    { taskClass: { ...taskClass, builds: { rest: { is: build } } }, waiting: ofRamp },
    { taskClass: { ...taskClass, builds: { rest: builds.rest } }, waiting: waiting - ofRamp },
  ];
  return sides.filter((side) => side.waiting > 0);
}

function roomOf({ pool, open }: KnownPool): PoolRoom {
  const held = open.reduce((sum, { session }) => sum + (session?.live ? session.held : 0), 0);
  const { build } = launchedTemplate(pool.rollout, pool);
  return { spec: pool.spec, build, held, closed: pool.pause !== undefined || pool.deletion !== undefined };
}
