/** Cases of the prose snapshot: tasks that wait for capacities. */
import type { Capacity, Cost } from "../../matching/capacity.ts";
import type { KnownSize } from "../../matching/known-size.ts";
import { held, member, TASK } from "./fixture.ts";
import { waiting } from "./made-facts.ts";
import type { ProseCase } from "./prose-case.ts";

const costs = (cost: Cost) => ({ task: { ...TASK, requirements: { labels: {}, resources: [], cost } } });
const gpu = (amount: number): Cost => [{ name: "gpu_memory_mb", amount }];
const memory = (total: number, used = 0): { capacities: Map<string, Capacity> } => ({
  capacities: new Map([["gpu_memory_mb", { total, used }]]),
});
const taking = (attemptId: string, cost: Cost) => ({ ...held(attemptId, "train", 90_000), cost });
const size = (workerId: string, mb: number, slots = 2, goneMs?: number): KnownSize => ({
  workerId,
  slots,
  capacities: { gpu_memory_mb: mb },
  goneMs,
});
const raised = (attemptId: string, amounts: string) => ({
  attemptId,
  change: `gpu_memory_mb from ${amounts}`,
});
const FULL_OF_BYTES = { bytes: 66_000_000, nextBytes: 2_000_000, maxBytes: 67_108_864 };
const both: Cost = [...gpu(8_000), { name: "slots", amount: 4 }];

export const CAPACITY_PROSE: readonly ProseCase[] = [
  {
    code: "ALL_SLOTS_BUSY",
    when: "a capacity is short",
    write: () =>
      waiting(
        [
          member({
            candidate: memory(24_000, 20_000),
            more: { held: [taking("t-3.1", gpu(12_000)), taking("t-4.1", gpu(8_000))] },
          }),
          member({ id: "w-2", candidate: memory(10_000, 8_000) }),
        ],
        costs(gpu(8_000)),
      ),
  },
  {
    code: "ALL_SLOTS_BUSY",
    when: "its retry policy raised the cost that is short",
    write: () =>
      waiting(
        [
          member({
            candidate: memory(24_000, 12_000),
            more: { held: [taking("t-3.1", gpu(12_000))] },
          }),
        ],
        { ...costs(gpu(16_000)), raises: [raised("t-7.1", "8000 to 16000")] },
      ),
  },
  {
    code: "ALL_SLOTS_BUSY",
    when: "its slots are short",
    write: () =>
      waiting(
        [member({ candidate: { slots: 4, credit: 1 }, more: { held: [held("t-3.1", "train", 90_000)] } })],
        costs([{ name: "slots", amount: 2 }]),
      ),
  },
  {
    code: "ALL_SLOTS_BUSY",
    when: "the worker keeps its room for a larger task",
    write: () =>
      waiting([
        member({
          candidate: {
            slots: 4,
            keptRoom: {
              ...{ id: 0, priority: 0, classId: 9, type: "train", until: 10_000 },
              ...{ queue: "default", fairnessKey: undefined, ageingMs: 3_600_000 },
              cost: [{ name: "slots", amount: 4 }],
            },
          },
        }),
      ]),
  },
  {
    code: "ALL_SLOTS_BUSY",
    when: "the worker has as much payload ahead as it takes",
    write: () => waiting([member({ candidate: { credit: 0, fullOfBytes: FULL_OF_BYTES } })]),
  },
  {
    code: "ALL_SLOTS_BUSY",
    when: "one worker has as much payload ahead as it takes, the other's slot is busy",
    write: () =>
      waiting([
        member({ candidate: { credit: 0, fullOfBytes: FULL_OF_BYTES } }),
        member({ id: "w-2", candidate: { credit: 0 }, more: { held: [held("t-3.1", "ocr", 90_000)] } }),
      ]),
  },
  {
    code: "NEVER_FITS",
    when: "no known worker has so much",
    write: () =>
      waiting([member({ candidate: memory(24_000) })], {
        ...costs(gpu(80_000)),
        known: [size("w-1", 24_000), size("w-0", 48_000, 2, 7_200_000)],
      }),
  },
  {
    code: "NEVER_FITS",
    when: "no worker is connected, and none had the capacity",
    write: () => waiting([], { ...costs(gpu(8_000)), known: [size("w-0", 0, 2, 60_000)] }),
  },
  {
    code: "NEVER_FITS",
    when: "only the combination is on no worker",
    write: () =>
      waiting([member({ candidate: { slots: 1, ...memory(24_000) } })], {
        ...costs(both),
        known: [size("w-1", 24_000, 1), size("w-0", 4_000, 8, 60_000)],
      }),
  },
  {
    code: "NEVER_FITS",
    when: "its retry policy raised the cost after its worker ran out of memory",
    write: () =>
      waiting([member({ candidate: memory(24_000) })], {
        ...costs(gpu(32_000)),
        known: [size("w-1", 24_000)],
        raises: [raised("t-7.1", "8000 to 16000"), raised("t-7.2", "16000 to 32000")],
      }),
  },
  {
    code: "NO_WORKER_FITS",
    when: "its retry policy raised the cost after its worker ran out of memory",
    write: () =>
      waiting([member({ candidate: memory(24_000) })], {
        ...costs(gpu(32_000)),
        known: [size("w-1", 24_000), size("w-0", 48_000, 2, 7_200_000)],
        raises: [raised("t-7.1", "16000 to 32000")],
      }),
  },
  {
    code: "NO_WORKER_FITS",
    when: "one that has gone was large enough",
    write: () =>
      waiting([member({ candidate: memory(24_000) }), member({ id: "w-2", candidate: memory(8_000) })], {
        ...costs(gpu(40_000)),
        known: [size("w-1", 24_000), size("w-0", 48_000, 2, 7_200_000)],
      }),
  },
];
