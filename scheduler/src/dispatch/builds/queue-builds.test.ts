import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { type BuildRule, isOfRamp, sidesOf } from "../../domain/builds/build-rule.ts";
import type { RunningBuild } from "../../store/sessions.ts";
import { SUCCEEDED } from "../../store/testing/made-rows.ts";
import { settled } from "../../testing/manual-clock.ts";
import { Matcher } from "../matching/matcher.ts";
import { HotPath, TYPE } from "../testing/hot-path.ts";
import { madeSession } from "../testing/made-session.ts";
import { QueueBuilds } from "./queue-builds.ts";

const RAMP = { build: "13", share: 0.5 };

describe("the build rules of queues", () => {
  let hot: HotPath;

  beforeEach(() => {
    hot = new HotPath();
  });

  /** Applies the rule to every class, while these builds run. */
  const apply = (rule: BuildRule | undefined, ...running: string[]) => {
    for (const entry of hot.dispatch.classes.all())
      hot.dispatch.classes.setBuilds(entry, rule && sidesOf(rule, new Set(running)));
    hot.dispatch.dispatcher.pump();
  };

  it("pin the tasks: a worker of another build gets none, until the rule is taken back", async () => {
    await hot.waiting(3);
    await hot.poll();
    apply({ pin: "13" });
    hot.worker({ build: "12", slots: 10 });
    await settled();
    assert.deepEqual(hot.takeSent(), []);
    hot.worker({ build: "13" });
    await settled();
    assert.deepEqual(hot.takeSent(), ["w-2 assign t-1.1"]);
    apply(undefined);
    await settled();
    assert.deepEqual(hot.takeSent(), ["w-1 assign t-2.1 t-3.1"]);
  });

  it("ramp a share: each task runs on its side, and the other side goes on while one has no room", async () => {
    const ids = await hot.waiting(40);
    await hot.poll();
    apply({ ramp: RAMP }, "12", "13");
    const canary = hot.worker({ build: "13", slots: 1 });
    const others = hot.worker({ build: "12", slots: 100 });
    await settled();
    const rest = ids.filter((id) => !isOfRamp(id, RAMP.share));
    assert.deepEqual(
      [...others.attempts.keys()].sort((a, b) => a - b),
      rest,
    );
    const ramp = ids.filter((id) => isOfRamp(id, RAMP.share));
    for (const id of ramp) {
      assert.deepEqual([...canary.attempts.keys()], [id]);
      hot.report(canary, [id], SUCCEEDED);
      await settled();
    }
    // A new task is not assigned by the statement that inserts it: its side is known by its id.
    hot.takeSent();
    const [task] = await hot.submit();
    assert.equal(task?.assigned, false);
    await settled();
    assert.match(hot.takeSent().join(), new RegExp(`assign t-${task?.id}\\.1`));
  });

  it("read on past a window that the tasks of a blocked side fill", async () => {
    const ids = await hot.waiting(6_000);
    await hot.poll();
    apply({ ramp: RAMP }, "12", "13");
    hot.worker({ build: "13", slots: 1 });
    const others = hot.worker({ build: "12", slots: 500 });
    const rest = ids.filter((id) => !isOfRamp(id, RAMP.share));
    const done = new Set<number>();
    for (let round = 0; round < 40 && done.size < rest.length; round++) {
      await settled();
      const held = [...others.attempts.keys()];
      for (const id of held) done.add(id);
      hot.report(others, held, SUCCEEDED);
      await hot.clock.pass(1_000);
    }
    assert.equal(done.size, rest.length);
    assert.ok(rest.every((id) => done.has(id)));
  });

  it("keep a session free for a task that runs alone on the side of that task", async () => {
    await hot.waiting(3);
    await hot.poll();
    const [entry] = hot.dispatch.classes.all();
    assert.ok(entry);
    entry.taskClass = { ...entry.taskClass, alone: true };
    apply({ ramp: RAMP }, "12", "13");
    const id = [1, 2, 3].find((each) => isOfRamp(each, RAMP.share));
    assert.ok(id);
    entry.window.add({ id, priority: 0 });
    const [old, fresh] = ["12", "13"].map((build) => madeSession({ types: { [TYPE]: 0 }, slots: 5, build }));
    assert.ok(old && fresh);
    for (const session of [old, fresh, fresh]) session.reserve({ ...entry.taskClass, alone: false });
    for (const session of [old, fresh]) hot.dispatch.classes.addSession(session);
    new Matcher(hot.dispatch.classes, hot.clock).keepFree(entry);
    assert.equal(entry.keptFree, fresh, "the other one holds less, and has another build");
  });

  it("are read only where a queue has one, and the builds that run only for a ramp", async () => {
    let rules: ReadonlyMap<string, BuildRule> = new Map();
    const asked: (readonly string[])[] = [];
    let found: RunningBuild[] = [];
    const builds = new QueueBuilds({
      store: {
        runningBuilds: async (queues) => {
          asked.push(queues);
          return found;
        },
      },
      settings: {
        get buildRules() {
          return rules;
        },
      },
      classes: hot.dispatch.classes,
    });
    await hot.waiting(1);
    await hot.poll();
    const sides = () => [...hot.dispatch.classes.all()].map(({ taskClass }) => taskClass.builds);
    await builds.refresh();
    assert.deepEqual([asked, sides()], [[], [undefined]]);
    rules = new Map([["default", { pin: "12" }]]);
    await builds.refresh();
    assert.deepEqual([asked, sides()], [[], [{ rest: { is: "12" } }]]);
    rules = new Map([["default", { ramp: RAMP }]]);
    await builds.refresh();
    assert.deepEqual([asked, sides()], [[["default"]], [undefined]], "the build of the ramp does not run");
    found = ["12", "13"].map((build) => ({ queue: "default", type: "echo", build }));
    await builds.refresh();
    assert.deepEqual(sides(), [{ rest: { isNot: "13" }, ramp: RAMP }]);
    rules = new Map();
    await builds.refresh();
    await builds.refresh();
    assert.deepEqual([asked.length, sides()], [2, [undefined]]);
  });
});
