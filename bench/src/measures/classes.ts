import type { Sample } from "../report/sample.ts";
import { medianOf, parameterValues, runsOf } from "../report/select.ts";
import { type Findings, figure } from "../report/table.ts";
import { Stack } from "../workers/stack.ts";
import type { Measure } from "./measure.ts";

const PAYLOAD_BYTES = 100;
const MIB = 1_048_576;

/** Task types, each a class of its own; 1,000 is the most that a worker may run. */
const TYPES = [1, 100, 1_000];
const QUICK_TYPES = [20];
const TASKS = 50_000;
const QUICK_TASKS = 200;

/** The same tasks as one class and spread over many. */
export const classes: Measure = {
  name: "classes",
  summary: "drain rate and the scheduler's memory with the same tasks in 1, 100 and 1,000 task classes",
  run: async ({ lab, runs, firstRun, quick, signal, record, say }) => {
    const tasks = quick ? QUICK_TASKS : TASKS;
    for (let run = 1; run <= runs; run++) {
      for (const count of quick ? QUICK_TYPES : TYPES) {
        if (signal.aborted) return;
        const types = Array.from({ length: count }, (_, index) => `type-${index}`);
        const stack = await Stack.start(lab, { types });
        await stack.load(tasks / 10, PAYLOAD_BYTES);
        await stack.drain(tasks / 10);
        await stack.load(tasks, PAYLOAD_BYTES);
        const values = await stack.drain(tasks);
        const usage = await stack.schedulers[0]?.usage(true);
        await stack.close();
        say(
          `${count} classes: ${figure(values.drain_per_s)}/s, scheduler ${figure(values.scheduler_cpu_us)} us a task`,
        );
        record({
          ...{
            part: "classes",
            subject: "muster",
            run: firstRun + run,
            parameters: { classes: count, tasks },
          },
          values: {
            ...values,
            scheduler_heap_mib: (usage?.heapBytes ?? Number.NaN) / MIB,
            scheduler_rss_mib: (usage?.rssBytes ?? Number.NaN) / MIB,
          },
        });
      }
    }
  },
  report,
};

function report(samples: readonly Sample[]): Findings {
  const counts = parameterValues(samples, "classes");
  if (counts.length === 0) return { tables: [], targets: [], charts: [] };
  const tasks = parameterValues(samples, "tasks").at(-1) ?? 0;
  return {
    tables: [
      {
        title: `${tasks.toLocaleString("en-US")} tasks in one class and in many, median of ${runsOf(samples)} runs`,
        head: [
          ...["task classes", "drain/s", "scheduler µs/task", "database µs/task"],
          ...["scheduler's heap MiB", "RSS MiB"],
        ],
        rows: counts.map((count) => {
          const middle = (value: string) =>
            figure(medianOf(samples, { parameters: { classes: count } }, value));
          return [
            count.toLocaleString("en-US"),
            middle("drain_per_s"),
            middle("scheduler_cpu_us"),
            middle("server_cpu_us"),
            middle("scheduler_heap_mib"),
            middle("scheduler_rss_mib"),
          ];
        }),
      },
    ],
    targets: [],
    charts: [],
  };
}
