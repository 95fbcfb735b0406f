/** What can go wrong, to whom, and for how long. */
export type Fault =
  | { readonly kind: "worker_kill"; readonly worker: number; readonly downMs: number }
  | { readonly kind: "worker_stop"; readonly worker: number; readonly forMs: number }
  | { readonly kind: "worker_cut"; readonly worker: number }
  | { readonly kind: "worker_blackhole"; readonly worker: number; readonly forMs: number }
  | { readonly kind: "scheduler_kill"; readonly scheduler: number; readonly downMs: number }
  | { readonly kind: "scheduler_stop"; readonly scheduler: number; readonly forMs: number }
  | { readonly kind: "scheduler_restart"; readonly scheduler: number }
  | { readonly kind: "postgres_restart"; readonly downMs: number }
  | { readonly kind: "postgres_kill"; readonly downMs: number }
  | { readonly kind: "connections_terminate" }
  | { readonly kind: "disk_fill"; readonly forMs: number }
  | { readonly kind: "role_nologin"; readonly forMs: number }
  | { readonly kind: "connections_fatal"; readonly times: number }
  | { readonly kind: "worker_double"; readonly worker: number; readonly forMs: number }
  | { readonly kind: "worker_sick"; readonly worker: number; readonly forMs: number };

/** A fault and its moment, milliseconds after the start. */
export interface ScheduledFault {
  readonly atMs: number;
  readonly fault: Fault;
}

/** A small, well-mixed generator (mulberry32): the same seed gives the same schedule everywhere. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The faults of a run: one every 0.4 to 2 s until `lengthMs`. */
export function schedule(
  seed: number,
  lengthMs: number,
  size: { workers: number; schedulers: number },
): ScheduledFault[] {
  const random = seededRandom(seed);
  const between = (low: number, high: number) => Math.round(low + random() * (high - low));
  const pick = (count: number) => Math.floor(random() * count);
  const kinds: readonly (readonly [weight: number, make: () => Fault])[] = [
    [5, () => ({ kind: "worker_kill", worker: pick(size.workers), downMs: between(100, 1_500) })],
    [4, () => ({ kind: "worker_stop", worker: pick(size.workers), forMs: between(100, 8_000) })],
    [4, () => ({ kind: "worker_cut", worker: pick(size.workers) })],
    [3, () => ({ kind: "worker_blackhole", worker: pick(size.workers), forMs: between(200, 8_000) })],
    [2, () => ({ kind: "scheduler_kill", scheduler: pick(size.schedulers), downMs: between(100, 1_500) })],
    [2, () => ({ kind: "scheduler_stop", scheduler: pick(size.schedulers), forMs: between(100, 6_000) })],
    [1, () => ({ kind: "scheduler_restart", scheduler: pick(size.schedulers) })],
    [1, () => ({ kind: "postgres_restart", downMs: between(0, 1_500) })],
    [1, () => ({ kind: "postgres_kill", downMs: between(0, 1_500) })],
    [2, () => ({ kind: "connections_terminate" })],
    [2, () => ({ kind: "disk_fill", forMs: between(300, 6_000) })],
    [2, () => ({ kind: "role_nologin", forMs: between(300, 6_000) })],
    [3, () => ({ kind: "connections_fatal", times: pick(5) + 1 })],
    [1, () => ({ kind: "worker_double", worker: pick(size.workers), forMs: between(1_000, 8_000) })],
    [6, () => ({ kind: "worker_sick", worker: pick(size.workers), forMs: between(3_000, 12_000) })],
  ];
  const total = kinds.reduce((sum, [weight]) => sum + weight, 0);
  const faults: ScheduledFault[] = [];
  for (let atMs = between(400, 2_000); atMs < lengthMs; atMs += between(400, 2_000)) {
    let ticket = random() * total;
    const chosen = kinds.find(([weight]) => {
      ticket -= weight;
      return ticket < 0;
    });
    if (chosen) faults.push({ atMs, fault: chosen[1]() });
  }
  return faults;
}
