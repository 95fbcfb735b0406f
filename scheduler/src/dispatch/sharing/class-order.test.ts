import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { WaitingWindow } from "../../domain/tasks/window.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { ClassOrder } from "./class-order.ts";
import { Turns } from "./turns.ts";

function madeClass(queue = "default", key?: string, weight = 1, type = "echo") {
  const fairness = key === undefined ? undefined : { key, weight };
  return { taskClass: { queue, fairness }, shape: `${queue} ${type}`, window: new WaitingWindow() };
}

function queueWeights(weights: Readonly<Record<string, number>>) {
  return { queue: (name: string) => weights[name] ?? 1, key: () => undefined };
}

type Made = ReturnType<typeof madeClass>;

/** Takes everything in order; returns the ids. */
function drain(order: ClassOrder<Made>, count = Number.POSITIVE_INFINITY): number[] {
  const ids: number[] = [];
  for (let item = order.first; item && ids.length < count; item = order.first) {
    ids.push(item.window.shift()?.id ?? 0);
    order.started(item, 0);
  }
  return ids;
}

function fill(order: ClassOrder<Made>, item: Made, ids: readonly number[], priority = 0): void {
  for (const id of ids) item.window.add({ id, priority });
  order.touch(item);
}

const numbers = (from: number, count: number) => Array.from({ length: count }, (_, n) => from + n);

describe("the order of classes", () => {
  it("of one queue is by priority, then by id, whatever class a task is in", () => {
    const tasks = fc.uniqueArray(
      fc.record({ id: fc.integer({ min: 1, max: 500 }), priority: fc.integer({ min: -2, max: 2 }) }),
      { selector: ({ id }) => id, maxLength: 60 },
    );
    fc.assert(
      fc.property(tasks, fc.integer({ min: 1, max: 8 }), (all, count) => {
        const order = new ClassOrder<Made>(new ManualClock());
        const classes = Array.from({ length: count }, () => madeClass());
        for (const task of all) fill(order, classes[task.id % count] as Made, [task.id], task.priority);
        const expected = [...all].sort((a, b) => b.priority - a.priority || a.id - b.id).map(({ id }) => id);
        assert.deepEqual(drain(order), expected);
      }),
    );
  });

  it("gives a task of another queue its turn before the rest of a bulk, whatever the priority of the bulk", () => {
    const order = new ClassOrder<Made>(new ManualClock());
    const [bulk, other] = [madeClass("bulk"), madeClass("other")];
    fill(order, bulk, numbers(1, 1_000), 100);
    drain(order, 500);
    fill(order, other, [2_000, 2_001]);
    assert.deepEqual(
      drain(order, 4).filter((id) => id >= 2_000),
      [2_000, 2_001],
    );
  });

  it("gives queues their weights, whatever number of classes they have", () => {
    const order = new ClassOrder<Made>(new ManualClock());
    order.setWeights(queueWeights({ heavy: 3 }));
    for (const n of numbers(0, 5)) fill(order, madeClass("light"), numbers(n * 1_000, 200));
    fill(order, madeClass("heavy"), numbers(10_000, 1_000));
    const heavy = drain(order, 400).filter((id) => id >= 10_000).length;
    assert.ok(Math.abs(heavy - 300) <= 1, `${heavy} of 400`);
    order.setWeights(queueWeights({}));
    const even = drain(order, 400).filter((id) => id >= 10_000).length;
    assert.ok(Math.abs(even - 200) <= 2, `${even} of 400`);
  });

  it("gives keys of one queue their weights, whatever number of tasks and classes they have", () => {
    const order = new ClassOrder<Made>(new ManualClock());
    fill(order, madeClass("default", "bulk"), numbers(1, 1_000), 100);
    fill(order, madeClass("default", "bulk"), numbers(1_001, 1_000));
    drain(order, 300);
    fill(order, madeClass("default", "heavy", 3), numbers(10_000, 1_000));
    fill(order, madeClass("default"), numbers(20_000, 1_000));
    const ids = drain(order, 500);
    const [bulk, heavy] = [
      ids.filter((id) => id < 10_000).length,
      ids.filter((id) => id >= 10_000 && id < 20_000).length,
    ];
    assert.ok(Math.abs(bulk - 100) <= 1 && Math.abs(heavy - 300) <= 1, `${bulk} and ${heavy} of 500`);
  });

  it("takes the operator's weight of a key before that of its tasks", () => {
    const order = new ClassOrder<Made>(new ManualClock());
    order.setWeights({ queue: () => 1, key: (queue, key) => (queue === "q" && key === "a" ? 4 : undefined) });
    fill(order, madeClass("q", "a", 1), numbers(1, 1_000));
    fill(order, madeClass("q", "b", 2), numbers(5_000, 1_000));
    const ofA = drain(order, 600).filter((id) => id < 5_000).length;
    assert.ok(Math.abs(ofA - 400) <= 1, `${ofA} of 600`);
    order.setWeights({ queue: () => 1, key: () => undefined });
    const then = drain(order, 600).filter((id) => id < 5_000).length;
    assert.ok(Math.abs(then - 200) <= 2, `${then} of 600`);
  });

  it("the keys of a queue do not change its share", () => {
    const order = new ClassOrder<Made>(new ManualClock());
    for (const n of numbers(0, 50)) fill(order, madeClass("many", `k-${n}`), numbers(n * 100, 20));
    fill(order, madeClass("one"), numbers(50_000, 1_000));
    const ofOne = drain(order, 200).filter((id) => id >= 50_000).length;
    assert.ok(Math.abs(ofOne - 100) <= 1, `${ofOne} of 200`);
  });

  it("compares in the logarithm of 10,000 keys for a start", () => {
    const order = new ClassOrder<Made>(new ManualClock());
    let fronts = 0;
    for (const n of numbers(0, 10_000)) {
      const made = madeClass("default", `k-${n}`);
      const { window } = made;
      const peek = window.peek.bind(window);
      window.peek = () => {
        fronts++;
        return peek();
      };
      fill(order, made, [n + 1, n + 20_001]);
    }
    fronts = 0;
    // Each key has one turn before any has a second.
    assert.equal(new Set(drain(order, 10_000).map((id) => id % 20_000)).size, 10_000);
    assert.ok(fronts <= 30_000, `${fronts} looks at fronts for 10,000 starts`);
    assert.equal(order.keyCount, 10_000);
  });

  it("counts the starts of a key in the last minute", () => {
    const clock = new ManualClock();
    const order = new ClassOrder<Made>(clock);
    const made = madeClass("q", "a");
    fill(order, made, numbers(1, 10));
    drain(order, 4);
    order.startedAtOnce(made, 0);
    assert.equal(order.recentStarts("q", "a"), 5);
    assert.equal(order.recentStarts("q", "b"), 0);
  });

  it("keeps the turn of what is set aside", () => {
    const order = new ClassOrder<Made>(new ManualClock());
    const [one, two] = [madeClass("one"), madeClass("two")];
    fill(order, one, [1, 2]);
    fill(order, two, [3, 4]);
    const { first } = order;
    assert.ok(first);
    order.setAside(first);
    const second = order.first;
    assert.ok(second && second !== first);
    order.setAside(second);
    assert.equal(order.first, undefined);
    order.restore();
    assert.equal(order.first, first);
  });

  /** Starts up to `count` of the classes that are served; returns the ids. */
  function plan(order: ClassOrder<Made>, isServed: (item: Made) => boolean, count: number): number[] {
    const turns = new Turns(order, { isServed, isAdmitted: () => true });
    const ids: number[] = [];
    for (let item = turns.first; item && ids.length < count; item = turns.first) {
      ids.push(item.window.shift()?.id ?? 0);
      order.started(item, 0);
    }
    turns.end();
    return ids;
  }

  it("yields what is served, each key by priority and age, and keeps the rest for when it is served", () => {
    const classes = fc.array(
      fc.record({ queue: fc.nat(2), key: fc.nat(2), type: fc.constantFrom("a", "b", "c", "d", "e") }),
      { maxLength: 150 },
    );
    const types = fc.subarray(["a", "b", "c", "d", "e"]);
    fc.assert(
      fc.property(
        classes,
        fc.array(types, { maxLength: 5 }),
        fc.integer({ min: 1, max: 30 }),
        (list, plans, most) => {
          const order = new ClassOrder<Made>(new ManualClock());
          const waiting = new Map<
            number,
            { readonly item: Made; readonly priority: number; readonly type: string }
          >();
          list.forEach(({ queue, key, type }, n) => {
            const item = madeClass(`q-${queue}`, key === 0 ? undefined : `k-${key}`, 1, type);
            for (const id of [n + 1, n + 1_001]) {
              waiting.set(id, { item, priority: id % 3, type });
              fill(order, item, [id], id % 3);
            }
          });
          for (const served of [...plans, ["a", "b", "c", "d", "e"]]) {
            const isServed = ({ shape }: Made) => served.includes(shape.split(" ")[1] ?? "");
            const ready = [...waiting].filter(([, { type }]) => served.includes(type));
            const count = served.length === 5 ? ready.length : most;
            const ids = plan(order, isServed, count);
            assert.equal(ids.length, Math.min(count, ready.length));
            for (const id of ids) {
              const started = waiting.get(id);
              assert.ok(started && served.includes(started.type));
              waiting.delete(id);
              const { queue, fairness } = started.item.taskClass;
              for (const [other, { item, priority, type }] of waiting) {
                if (item.taskClass.queue !== queue || item.taskClass.fairness?.key !== fairness?.key)
                  continue;
                if (!served.includes(type)) continue;
                const before = priority > started.priority || (priority === started.priority && other < id);
                assert.ok(!before || ids.includes(other), `t-${other} goes before t-${id}`);
              }
            }
          }
          assert.equal(order.first, undefined);
        },
      ),
    );
  });

  it("skips all keys of a queue of which no worker serves a type at once", () => {
    const order = new ClassOrder<Made>(new ManualClock());
    for (const n of numbers(0, 10_000)) fill(order, madeClass("busy", `k-${n}`), [n + 1]);
    const idle = madeClass("idle");
    fill(order, idle, [20_000]);
    let looks = 0;
    const isServed = (item: Made) => {
      looks++;
      return item === idle;
    };
    assert.deepEqual(plan(order, isServed, 10), [20_000]);
    assert.ok(looks <= 4, `${looks} looks`);
    assert.equal(plan(order, () => true, 10_000).length, 10_000);
  });

  it("forgets a class, and takes a new one of the queue", () => {
    const order = new ClassOrder<Made>(new ManualClock());
    const one = madeClass();
    fill(order, one, [1]);
    order.forget(one);
    assert.equal(order.first, undefined);
    fill(order, madeClass(), [2]);
    assert.deepEqual(drain(order), [2]);
  });

  it("looks only at classes that have work: 10,000 without any cost nothing", () => {
    const order = new ClassOrder<Made>(new ManualClock());
    let looks = 0;
    const counted = (queue: string) => {
      const made = madeClass(queue);
      const { window } = made;
      const peek = window.peek.bind(window);
      window.peek = () => {
        looks++;
        return peek();
      };
      return made;
    };
    const idle = numbers(0, 10_000).map((n) => counted(`q-${n}`));
    for (const made of idle) fill(order, made, [1]);
    drain(order);
    const busy = counted("busy");
    fill(order, busy, numbers(1, 100));
    looks = 0;
    drain(order, 100);
    assert.ok(looks <= 300, `${looks} looks for 100 starts`);
  });
});
