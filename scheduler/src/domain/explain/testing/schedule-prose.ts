/** Cases of the prose snapshot: schedules. */
import type { Schedule } from "../../schedules/schedule.ts";
import { explainSchedule } from "../schedule.ts";
import { ago, NOW } from "./fixture.ts";
import type { ProseCase } from "./prose-case.ts";

const at = (ms: number) => ago(-ms).getTime();

const NIGHTLY: Schedule = {
  name: "nightly",
  version: 3,
  queue: "reports",
  type: "report.build",
  timing: { kind: "cron", expression: "30 2 * * *", timezone: "Europe/Berlin" },
  jitterMs: 0,
  catchUp: "last",
  catchUpLimit: 100,
  overlap: "skip",
  createdMs: at(-90_000_000),
  setMs: at(-90_000_000),
  positionMs: Date.UTC(2025, 5, 1, 0, 30),
  nextMs: Date.UTC(2025, 5, 2, 0, 30),
  dueMs: Date.UTC(2025, 5, 2, 0, 30),
  ticks: [
    {
      tickMs: Date.UTC(2025, 5, 1, 0, 30),
      outcome: "submitted",
      decidedMs: Date.UTC(2025, 5, 1, 0, 30),
      taskId: 17,
    },
  ],
  taskIds: [17],
};

function explained(fields: Partial<Schedule>, openTaskIds: readonly number[] = []) {
  return explainSchedule({ schedule: { ...NIGHTLY, ...fields }, openTaskIds, now: NOW }).reasons;
}

const { dueMs: _due, ...PAUSED } = NIGHTLY;
const { nextMs: _next, ...ENDED } = PAUSED;

export const SCHEDULE_PROSE: readonly ProseCase[] = [
  {
    code: "SCHEDULE_PAUSED",
    when: "an operator paused it",
    write: () =>
      explainSchedule({
        schedule: { ...PAUSED, pause: { reason: "migration (by ada)", sinceMs: at(-7_200_000) } },
        openTaskIds: [],
        now: NOW,
      }).reasons,
  },
  {
    code: "SCHEDULE_ENDED",
    when: "its end has passed",
    write: () =>
      explainSchedule({ schedule: { ...ENDED, endMs: at(-3_600_000) }, openTaskIds: [], now: NOW }).reasons,
  },
  {
    code: "SCHEDULE_FAILING",
    when: "the queue is full",
    write: () =>
      explained({
        dueMs: at(8_000),
        failure: {
          ...{ code: "QUEUE_FULL", message: "queue reports is full", sinceMs: at(-15_000), count: 4 },
        },
      }),
  },
  {
    code: "SCHEDULE_FAILING",
    when: "its task is not valid any more",
    write: () =>
      explained({
        dueMs: at(-1),
        failure: {
          ...{
            code: "PAYLOAD_TOO_LARGE",
            message: "task.payload has 2000 bytes",
            sinceMs: at(-1_000),
            count: 1,
          },
        },
      }),
  },
  {
    code: "SCHEDULE_LATE",
    when: "no scheduler submits its tick",
    write: () => explained({ nextMs: at(-300_000), dueMs: at(-300_000) }),
  },
  {
    code: "SCHEDULE_OVERLAPS",
    when: "its task is open, and three ticks were skipped",
    write: () =>
      explained(
        {
          ticks: [1, 2, 3].map((day) => ({
            ...{
              tickMs: at(-day * 86_400_000),
              decidedMs: at(-day * 86_400_000),
              outcome: "skipped",
              taskId: 17,
            },
          })),
        },
        [17],
      ),
  },
  {
    code: "SCHEDULE_OVERLAPS",
    when: "its task is open",
    write: () => explained({}, [17]),
  },
  {
    code: "SCHEDULE_WAITING",
    when: "its next tick is in the future",
    write: () => explained({}),
  },
];
