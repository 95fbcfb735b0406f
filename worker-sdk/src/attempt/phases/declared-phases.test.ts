import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PHASE_NAME, UNIT_NAME } from "@muster/common/text/name-forms";
import { z } from "zod";
import { defineTask } from "../../contract/define-task.ts";
import type { AssignmentMessage } from "../../link/assignment.ts";
import type { ToLink } from "../../link/messages.ts";
import { OptionsError } from "../../options/options-error.ts";
import { type AnyPhaseDeclarations, secondsOf } from "../../options/task-types/phase-declarations.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { Worker } from "../../worker.ts";
import type { AttemptHost } from "../attempt-host.ts";
import { Deadlines } from "../deadlines.ts";
import { Phases } from "./phases.ts";

/** The phases of an attempt of a type with these declarations. */
function attempt(
  declared: AnyPhaseDeclarations,
  {
    task = {},
    input = null,
  }: { task?: Partial<Pick<AssignmentMessage, "phaseTimeoutsMs" | "phaseWarningsMs">>; input?: unknown } = {},
) {
  const clock = new ManualClock();
  const timedOut: string[] = [];
  const started: (number | undefined)[] = [];
  const movable: boolean[] = [];
  const host = {
    clock,
    deadlines: new Deadlines(clock),
    link: {
      send: (message: ToLink) => {
        if (message.kind !== "phaseStarted") return;
        started.push(message.warnAfterMs);
        movable.push(message.movable);
      },
      flush: () => undefined,
    },
    // As the worker: the task's threshold, the declaration, then what the worker has.
    warnAfterS: (phase: string, assignment: AssignmentMessage, ofDeclaration: () => number | undefined) => {
      const ofTask = assignment.phaseWarningsMs[phase];
      return ofTask === undefined ? (ofDeclaration() ?? 90) : ofTask / 1_000;
    },
  } as unknown as AttemptHost;
  const assignment = {
    ...{ attemptId: "t-1.1", taskId: "t-1", type: "a" },
    ...{ phaseTimeoutsMs: {}, phaseWarningsMs: {}, ...task },
  } as AssignmentMessage;
  const quiet = () => undefined;
  const log = { debug: quiet, info: quiet } as never;
  const phases = new Phases(host, assignment, declared, {
    event: quiet,
    timedOut: (phase, limitMs) => void timedOut.push(`${phase} after ${limitMs}`),
    watched: quiet,
    input: () => input,
    log: () => log,
    startedMs: () => 0,
    trace: quiet,
  });
  return { clock, phases, timedOut, started, movable };
}

describe("declared phases", () => {
  it("give a phase its threshold and limit, which may depend on the input", async () => {
    const declared = {
      load: { warnAfterS: 5, progress: true },
      run: {
        warnAfterS: ({ minutes }: { minutes: number }) => minutes * 2,
        timeoutS: ({ minutes }: { minutes: number }) => minutes * 10,
      },
    };
    const { clock, phases, timedOut, started, movable } = attempt(declared, { input: { minutes: 3 } });
    await phases.run("load", () => undefined, {});
    const gate = Promise.withResolvers<void>();
    const running = phases.run("run", () => gate.promise, {});
    await phases.run("other", () => undefined, {});
    assert.deepEqual(
      [started, movable],
      [
        [5_000, 6_000, 90_000],
        [true, false, false],
      ],
    );
    clock.advance(29_999);
    assert.deepEqual(timedOut, []);
    clock.advance(1);
    assert.deepEqual(timedOut, ["run after 30000"]);
    gate.resolve();
    await running;
  });

  it("yield to the options of the call and to the task's own limits", async () => {
    const declared = { run: { warnAfterS: 5, timeoutS: 5, progress: true } };
    const task = { phaseTimeoutsMs: { run: 60_000 }, phaseWarningsMs: { run: 7_000 } };
    const { clock, phases, timedOut, started, movable } = attempt(declared, { task });
    await phases.run("run", () => undefined, {});
    await phases.run("run", () => clock.advance(59_000), { warnAfterS: 1, progress: false });
    assert.deepEqual([started, movable, timedOut], [[7_000, 1_000], [true, false], []]);
    await phases.run("run", () => clock.advance(61_000), {});
    assert.deepEqual(timedOut, ["run after 60000", "run after 60000"], "by the timer, and found at the end");
  });

  it("end the call before the phase begins when a function throws or returns no number of seconds", async () => {
    const declared = {
      throws: { warnAfterS: ({ page }: { page: { size: number } }) => page.size },
      text: { timeoutS: () => "60" as never },
      negative: { timeoutS: () => -1 },
    };
    const { phases, started } = attempt(declared, { input: {} });
    let called = 0;
    const run = (name: string) => phases.run(name, () => (called += 1), {});
    await assert.rejects(run("throws"), {
      name: "RangeError",
      message: /^Phase "throws": option warnAfterS: its function threw TypeError: /,
    });
    await assert.rejects(run("text"), {
      message: /option timeoutS: its function returned 60, which is not a number/,
    });
    await assert.rejects(run("negative"), { message: /returned -1/ });
    assert.deepEqual([called, started], [0, []]);
  });

  it("name the unit of counts for as long as a phase that has one is open", async () => {
    const { phases } = attempt({ fetch: { unit: "bytes" } });
    assert.equal(phases.unit, undefined);
    await phases.run("fetch", () => phases.run("parse", () => assert.equal(phases.unit, "bytes"), {}), {});
    assert.equal(phases.unit, undefined);
  });

  it("get the input as the schema of the definition returns it", () => {
    const input = z.object({ minutes: z.number() });
    const { phases } = defineTask({
      type: "a",
      input,
      phases: { run: { timeoutS: ({ minutes }) => minutes * 2 } },
    });
    assert.equal(secondsOf(phases?.run, "timeoutS", "run", { minutes: 3 }), 6);
    // @ts-expect-error The input has no hours.
    defineTask({ type: "a", input, phases: { run: { timeoutS: ({ hours }) => hours } } });
  });

  it("are checked with the definition, every fault at once", () => {
    const faults = (phases: unknown) => {
      try {
        defineTask({ type: "a", phases: phases as never });
      } catch (error) {
        assert.ok(error instanceof OptionsError);
        return error.faults;
      }
      return [];
    };
    assert.deepEqual(
      faults({ load: {}, run: { warnAfterS: 0, timeoutS: () => 1, progress: true, unit: "bytes" } }),
      [],
    );
    assert.deepEqual(
      faults({
        Load: {},
        run: { warnAfter: 5, warnAfterS: -1, timeoutS: Number.NaN, progress: "yes", unit: "Bytes" },
        fetch: 60,
      }),
      [
        `option phases: the name "Load" must match ${PHASE_NAME.source}`,
        "option phases.run.warnAfter: is none of warnAfterS, timeoutS, progress, unit",
        "option phases.run.warnAfterS: -1 is not a number from 0 to 31622400, nor a function",
        "option phases.run.timeoutS: NaN is not a number from 0 to 31622400, nor a function",
        "option phases.run.progress: yes is not true or false",
        `option phases.run.unit: Bytes must match ${UNIT_NAME.source}`,
        "option phases.fetch: give an object, for example { warnAfterS: 60 }",
      ],
    );
    assert.match(String(faults(["load"])[0]), /^option phases: give an object of phases by name/);
    const phases = { run: { timeoutS: -1 } };
    assert.throws(() => new Worker({ tasks: { a: { handler: () => 1, phases } } }), {
      message: /option tasks\["a"\]\.phases\.run\.timeoutS: -1 is not a number from 0 to 31622400/,
    });
    const many = Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`p${n}`, {}]));
    assert.deepEqual(faults(many), ["option phases: has 101 phases; at most 100"]);
  });
});
