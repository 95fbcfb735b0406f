/** Cases of the prose snapshot: tasks for which no worker is there, or none is eligible. */
import type { BuildSides } from "../../builds/build-rule.ts";
import { DEFAULT_RETRY_POLICY } from "../../tasks/outcome/retry.ts";
import type { Reason } from "../reason.ts";
import { withLaunches } from "../waiting/starting.ts";
import { withRejected } from "../workers/rejected.ts";
import { ago, member, NOW, TASK } from "./fixture.ts";
import { classOf, ended, launch, rejected, waiting } from "./made-facts.ts";
import type { ProseCase } from "./prose-case.ts";

const wants = (requirements: Partial<typeof TASK.requirements>) => ({
  task: { ...TASK, requirements: { labels: {}, resources: [], ...requirements } },
});

const asked = (builds: BuildSides) => ({ taskClass: { ...classOf(TASK), builds }, match: undefined });

const gone = member({ id: "w-0", record: { goneTime: ago(180_000), goneReason: "lost" } }).record;
const served = (queue: string) => [{ workerId: "w-9", pool: "", types: ["ocr"], queues: [queue] }];

const asking = (state?: { state: "loading" | "failed"; ageMs: number; failures: number; error: string }) => ({
  record: {
    ...member().record,
    hello: { ...member().record.hello, features: ["prepare_resource"] },
  },
  asks: new Map([
    ["model:x", { askedAgeMs: 20_000, askCount: 2, state: state && { resource: "model:x", ...state } }],
  ]),
});

const starts = (facts: Partial<Parameters<typeof withLaunches>[2]>): Reason[] =>
  withLaunches(waiting([]), TASK, { launching: [], failed: [], served: [], ...facts }, NOW);

export const NO_WORKER_PROSE: readonly ProseCase[] = [
  { code: "NO_WORKERS", when: "none ever registered", write: () => waiting([]) },
  { code: "NO_WORKERS", when: "the last one is gone", write: () => waiting([], { gone: [gone] }) },
  {
    code: "NO_WORKERS",
    when: "workers were refused",
    write: () =>
      withRejected(
        waiting([]),
        TASK,
        [rejected(), rejected({ workerId: "w-7", code: "VERSION_MISMATCH" })],
        NOW,
      ),
  },
  {
    code: "NO_WORKER_FOR_TYPE",
    when: "the type is misspelt",
    write: () => waiting([member()], { task: { ...TASK, type: "ocrr" } }),
  },
  {
    code: "NO_WORKER_FOR_TYPE",
    when: "the last worker with a handler is gone",
    write: () => waiting([member({ candidate: { types: new Map() } })], { gone: [gone] }),
  },
  {
    code: "NO_WORKER_FOR_TYPE",
    when: "no worker takes from the queue",
    write: () => waiting([member()], { task: { ...TASK, queue: "defualt" } }),
  },
  {
    code: "BUILD_NOT_RUNNING",
    when: "the queue is pinned, and two workers have another build or none",
    write: () =>
      waiting([member({ candidate: { build: "12" } }), member({ id: "w-2" })], {
        ...asked({ rest: { is: "13" } }),
      }),
  },
  {
    code: "BUILD_NOT_RUNNING",
    when: "it is not of the ramp, and only the build of the ramp is left",
    write: () =>
      waiting([member({ candidate: { build: "13" } })], {
        ...asked({ rest: { isNot: "13" } }),
      }),
  },
  {
    code: "NO_WORKER_MATCHES_LABELS",
    when: "one label",
    write: () =>
      waiting(
        [member({ candidate: { labels: { gpu: "a10" } } }), member({ id: "w-2" })],
        wants({ labels: { gpu: "a100" } }),
      ),
  },
  {
    code: "NO_WORKER_MATCHES_LABELS",
    when: "each label is on some worker",
    write: () =>
      waiting(
        [
          member({ candidate: { labels: { gpu: "a100" } } }),
          member({ id: "w-2", candidate: { labels: { zone: "eu" } } }),
        ],
        wants({ labels: { gpu: "a100", zone: "eu" } }),
      ),
  },
  {
    code: "NO_WORKER_MATCHES_LABELS",
    when: "the label was added after its worker ran out of memory",
    write: () => {
      const { task } = wants({ labels: { memory: "large" } });
      const retry = { ...DEFAULT_RETRY_POLICY, onOutOfMemory: { labels: { memory: "large" } } };
      return waiting([member()], { task: { ...task, outOfMemoryCount: 1, options: { retry } } });
    },
  },
  {
    code: "RESOURCE_NOT_LOADED",
    when: "no worker can be asked",
    write: () => waiting([member()], wants({ resources: ["model:x"] })),
  },
  {
    code: "RESOURCE_NOT_LOADED",
    when: "a worker was asked",
    write: () => waiting([member({ more: asking() })], wants({ resources: ["model:x"] })),
  },
  {
    code: "RESOURCE_NOT_LOADED",
    when: "loading failed",
    write: () =>
      waiting(
        [member({ more: asking({ state: "failed", ageMs: 3_000, failures: 2, error: "no memory left" }) })],
        wants({ resources: ["model:x"] }),
      ),
  },
  {
    code: "WORKERS_STARTING",
    when: "connected",
    write: () =>
      waiting([
        member({ state: "registered", candidate: { ready: false }, record: { connectTime: ago(8_000) } }),
      ]),
  },
  {
    code: "WORKERS_STARTING",
    when: "launched, never served before",
    write: () => starts({ launching: [launch()] }),
  },
  {
    code: "WORKERS_STARTING",
    when: "launched, served the queue before",
    write: () => starts({ launching: [launch()], served: served("default") }),
  },
  {
    code: "WORKERS_STARTING",
    when: "launched, served another queue before",
    write: () => starts({ launching: [launch()], served: served("night") }),
  },
  {
    code: "WORKERS_FAILED_TO_START",
    when: "it exited",
    write: () => starts({ failed: [launch({ end: ended("launch_failed") })], served: served("default") }),
  },
  {
    code: "WORKERS_FAILED_TO_START",
    when: "it served another queue before",
    write: () => starts({ failed: [launch({ end: ended("launch_failed") })], served: served("night") }),
  },
];
