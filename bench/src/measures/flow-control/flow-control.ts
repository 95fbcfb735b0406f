/** Measures what each feature of flow control costs a task that uses it. */
import { figure } from "../../report/table.ts";
import { Stack } from "../../workers/stack.ts";
import type { Context, Measure } from "../measure.ts";
import { CASES, type Case } from "./cases.ts";
import { reportFlowControl } from "./report.ts";

const PAYLOAD_BYTES = 100;

/** Slots of the worker, and as many attempts ahead. */
const SLOTS = 1_024;

/** Tasks of a drain, and of the first one of each case, which compiles the code and makes the classes. */
const TASKS = 50_000;
const WARM_UP = 10_000;
const QUICK_TASKS = 100;

/** Every case runs the same tasks through the same processes on the same database, one after the other. */
export const flowControl: Measure = {
  name: "flow-control",
  summary: "drain rate and processor time a task with concurrency keys and other flow control, against none",
  compares: false,
  run: async (context) => {
    for (let run = 1; run <= context.runs; run++) {
      if (context.signal.aborted) return;
      await measureRun(context, context.firstRun + run);
    }
  },
  report: reportFlowControl,
};

async function measureRun(context: Context, run: number): Promise<void> {
  const stack = await Stack.start(context.lab, { concurrency: SLOTS, prefetch: SLOTS });
  for (const each of CASES) {
    if (context.signal.aborted) break;
    await measureCase(context, stack, each, run);
  }
  await stack.close();
}

async function measureCase(context: Context, stack: Stack, each: Case, run: number): Promise<void> {
  const { key, label, optionsOf } = each;
  const [warmUp, tasks] = context.quick ? [QUICK_TASKS, QUICK_TASKS] : [WARM_UP, TASKS];
  await each.prepare?.(stack.client);
  await stack.load(warmUp, PAYLOAD_BYTES, optionsOf);
  await stack.drain(warmUp);
  const submit = await stack.load(tasks, PAYLOAD_BYTES, optionsOf);
  const drain = await stack.drain(tasks);
  context.say(
    `${label}: submit ${figure(submit)}/s, drain ${figure(drain.drain_per_s)}/s, scheduler and database ${figure(drain.scheduler_cpu_us + drain.server_cpu_us)} us a task`,
  );
  context.record({
    ...{ part: "drain", subject: key, run, parameters: { tasks } },
    values: { ...drain, submit_per_s: submit },
  });
}
