/** Groups workers by pool, those that need attention first. */
import { type Worker, WorkerState } from "@muster/protocol";
import { span } from "../../format/span.ts";
import { workerLook } from "../../format/worker-state.ts";

const RANK: Readonly<Partial<Record<WorkerState, number>>> = {
  [WorkerState.SUSPECT]: 0,
  [WorkerState.LOST]: 1,
  [WorkerState.REFUSED]: 2,
  [WorkerState.DRAINING]: 3,
  [WorkerState.REGISTERED]: 4,
  [WorkerState.CONNECTING]: 5,
  [WorkerState.LAUNCHING]: 6,
};
const LAST = 7;

type Listed = Pick<Worker, "id" | "pool" | "state">;

/** Pools by name, workers without one last. */
export function byPool<W extends Listed>(workers: readonly W[]): { pool: string; members: W[] }[] {
  const pools = new Map<string, W[]>();
  for (const worker of workers) {
    const members = pools.get(worker.pool);
    if (members) members.push(worker);
    else pools.set(worker.pool, [worker]);
  }
  const rank = ({ state }: Listed) => RANK[state] ?? LAST;
  return [...pools]
    .map(([pool, members]) => ({
      pool,
      members: members.sort((a, b) => rank(a) - rank(b) || compare(a.id, b.id)),
    }))
    .sort((a, b) => Number(a.pool === "") - Number(b.pool === "") || compare(a.pool, b.pool));
}

/** Numbers in names by their value: `gpu-2` before `gpu-10`. */
function compare(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}

/** `3 ready, 1 suspect`: the states of workers, those that need attention first. */
export function statesOf(workers: readonly Pick<Worker, "state">[]): string {
  const counts = new Map<WorkerState, number>();
  for (const { state } of workers) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts]
    .sort(([a], [b]) => (RANK[a] ?? LAST) - (RANK[b] ?? LAST))
    .map(([state, count]) => `${count} ${workerLook(state).word}`)
    .join(", ");
}

/**
 * What is left of a lease: the time until the worker is suspect, as a text and as a share of the lease. The answer that
 * `end` is of may be older than a short lease: then only the state says whether the worker is suspect.
 *
 * @param beat The last heartbeat. @param end The end of the lease; both milliseconds, as `now`.
 */
export function leaseText(
  { state }: Pick<Worker, "state">,
  { beat, end }: { beat: number; end: number },
  now: number,
): { text: string; share: number } {
  const left = end - now;
  if (left > 0 && state !== WorkerState.SUSPECT)
    return {
      text: `suspect in ${span(Math.ceil(left / 1_000) * 1_000)} without a heartbeat`,
      share: Math.min(1, left / Math.max(1, end - beat)),
    };
  if (state !== WorkerState.SUSPECT) return { text: "a heartbeat is due", share: 0 };
  return { text: `suspect since ${span(Math.max(0, Math.floor(-left / 1_000)) * 1_000)}`, share: 0 };
}
