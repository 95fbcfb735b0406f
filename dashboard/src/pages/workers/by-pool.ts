/** Groups workers by pool, those that need attention first. */
import { type Worker, WorkerState } from "@muster/protocol";

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
