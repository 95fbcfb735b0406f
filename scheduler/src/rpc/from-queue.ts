import type { MessageInitShape } from "@bufbuild/protobuf";
import type { QueueSchema } from "@muster/protocol";
import type { ClassDepth, QueueRow } from "../store/store.ts";
import { durationFromMs, timestampFromDate } from "./time.ts";

/** What of a class's depth a queue shows. */
type Depth = Omit<ClassDepth, "running">;

/** A queue as it is sent, with what waits in it by type. */
export function fromQueue(row: QueueRow, depths: readonly (Depth & { type: string })[]) {
  const total = (pick: (depth: Depth) => number) =>
    BigInt(depths.reduce((sum, depth) => sum + pick(depth), 0));
  const ages = depths.flatMap(({ oldestReadyAgeMs }) => oldestReadyAgeMs ?? []);
  const types = new Map<string, { ready: number; scheduled: number; active: number }>();
  for (const depth of depths) {
    const sum = types.get(depth.type) ?? { ready: 0, scheduled: 0, active: 0 };
    types.set(depth.type, {
      ready: sum.ready + depth.ready,
      scheduled: sum.scheduled + depth.scheduled,
      active: sum.active + depth.active,
    });
  }
  return {
    name: row.name,
    paused: row.pauseTime !== undefined,
    pauseReason: row.pauseReason ?? "",
    ...(row.pauseTime ? { pauseTime: timestampFromDate(row.pauseTime) } : {}),
    readyCount: total(({ ready }) => ready),
    scheduledCount: total(({ scheduled }) => scheduled),
    activeCount: total(({ active }) => active),
    ...(ages.length > 0
      ? { oldestReadyAge: durationFromMs(Math.max(0, Math.round(Math.max(...ages)))) }
      : {}),
    types: [...types]
      .map(([type, sum]) => ({
        type,
        readyCount: BigInt(sum.ready),
        scheduledCount: BigInt(sum.scheduled),
        activeCount: BigInt(sum.active),
      }))
      .sort((a, b) => Number(b.readyCount - a.readyCount)),
  } satisfies MessageInitShape<typeof QueueSchema>;
}
