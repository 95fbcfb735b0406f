/** What a process has used. */
export interface Usage {
  /** Processor time of all threads since the start, microseconds. */
  readonly cpuUs: number;
  /** Heap of the main thread after a collection, bytes. */
  readonly heapBytes: number;
  /** Memory outside of the heap that belongs to its objects (buffers, sockets), bytes. */
  readonly externalBytes: number;
  /** Resident memory, bytes. */
  readonly rssBytes: number;
  /** When this was read, monotonic milliseconds of the process. */
  readonly atMs: number;
}

/** Processor time between two readings as a share of one core. */
export function coreShare(before: Usage, after: Usage): number {
  return (after.cpuUs - before.cpuUs) / 1_000 / (after.atMs - before.atMs);
}
