import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_SLOT_RELEASES } from "@muster/protocol/constants";
import type { ToLink } from "../../link/messages.ts";
import { SlotReleases, type WaitingAttempt } from "./slot-releases.ts";

/** A worker with so many slots, of which the attempts of a test have all that they can. */
function made({ slots = 1, supported = true, typeFull = (): boolean => false } = {}) {
  let used = 0;
  const sent: string[] = [];
  const warnings: unknown[] = [];
  const link = {
    send: (message: ToLink) => {
      if (message.kind !== "slot") return;
      const { attemptId, release } = message;
      const what = release === undefined ? "has" : release.returning ? "returns" : release.taskIds.join("+");
      sent.push(`${attemptId} ${what}`);
    },
  };
  let waiting = 0;
  const releases: SlotReleases = new SlotReleases(
    {
      free: () => used--,
      tryTake: (attempt) => {
        if (attempt.assignment.type === "limited" && typeFull()) return "type_full";
        if (used >= slots) return "no_room";
        used++;
        return "taken";
      },
      startWaiting: () => {
        if (releases.serve() && waiting > 0 && used < slots) {
          waiting--;
          used++;
        }
      },
    },
    { link, clock: { monotonicMs: () => 0 } },
    slots,
  );
  releases.setSupported(supported);
  const attempt = (id: string, type = "t") => {
    used++;
    const controller = new AbortController();
    const ownLog = { warn: (fields: unknown) => void warnings.push(fields) };
    return {
      ...{ id, assignment: { cost: undefined, type }, signal: controller.signal },
      ownLog: ownLog as unknown as WaitingAttempt["ownLog"],
      abort: () => controller.abort(new Error("stop")),
    };
  };
  return {
    ...{ releases, sent, warnings, attempt },
    used: () => used,
    /** Another attempt starts as soon as there is room. */
    enqueue: () => {
      waiting++;
    },
    end: () => {
      used--;
      releases.serve();
    },
  };
}

const on = (taskId: string) => ({ taskId, reason: "" });

test("slots are freed with the first wait and taken with the end of the last; all waits end together", async () => {
  const { releases, sent, attempt, used } = made();
  const parent = attempt("p");
  const [a, b] = [on("t-1"), on("t-2")];
  releases.begin(parent, a);
  releases.begin(parent, b);
  assert.equal(used(), 0);
  const ended: string[] = [];
  const first = releases.end(parent, a).then(() => ended.push("a"));
  await new Promise(setImmediate);
  assert.deepEqual([ended, used()], [[], 0]);
  await Promise.all([first, releases.end(parent, b).then(() => ended.push("b"))]);
  assert.deepEqual([ended.toSorted(), used()], [["a", "b"], 1]);
  assert.deepEqual(sent, ["p t-1", "p t-1+t-2", "p t-2", "p has"]);
  assert.equal(releases.ended(parent), true);
});

test("an attempt whose wait is over goes on before what waits to start, in the order of the ends", async () => {
  const { releases, sent, attempt, end, enqueue, used } = made();
  const [one, two] = [attempt("one"), attempt("two")];
  const [a, b] = [on("t-1"), on("t-2")];
  releases.begin(one, a);
  releases.begin(two, b);
  enqueue();
  attempt("other");
  const order: string[] = [];
  const waits = [
    releases.end(two, b).then(() => order.push("two")),
    releases.end(one, a).then(() => order.push("one")),
  ];
  assert.deepEqual(sent.slice(-2), ["two returns", "one returns"]);
  end();
  await waits[0];
  assert.deepEqual([order, used()], [["two"], 1]);
  end();
  await waits[1];
  assert.deepEqual([order, used()], [["two", "one"], 1]);
});

test("one whose type is full does not keep others from their slots", async () => {
  let full = true;
  const { releases, attempt, end } = made({ slots: 2, typeFull: () => full });
  const [limited, free] = [attempt("limited", "limited"), attempt("free")];
  const [a, b] = [on("t-1"), on("t-2")];
  releases.begin(limited, a);
  releases.begin(free, b);
  const held = releases.end(limited, a).then(() => "limited");
  assert.equal(await Promise.race([held, releases.end(free, b).then(() => "free")]), "free");
  full = false;
  end();
  assert.equal(await held, "limited");
});

test("an attempt that has to stop takes no slot, whether it waits or is to go on", async () => {
  const { releases, sent, attempt, used } = made();
  const [waiting, returning] = [attempt("waiting"), attempt("returning")];
  const [a, b] = [on("t-1"), on("t-2")];
  releases.begin(waiting, a);
  releases.begin(returning, b);
  attempt("other");
  const end = releases.end(returning, b);
  returning.abort();
  await end;
  waiting.abort();
  await releases.end(waiting, a);
  assert.equal(used(), 1);
  assert.deepEqual(
    [releases.absentCount, releases.ended(waiting), releases.ended(returning)],
    [2, false, false],
  );
  assert.equal(releases.absentCount, 0);
  assert.ok(!sent.includes("returning has"));
});

test("a wait that begins while the attempt is to go on keeps it waiting", async () => {
  const { releases, sent, attempt, end } = made();
  const parent = attempt("p");
  const [a, b] = [on("t-1"), on("t-2")];
  releases.begin(parent, a);
  attempt("other");
  const first = releases.end(parent, a);
  releases.begin(parent, b);
  end();
  assert.equal(sent.at(-1), "p t-2");
  await Promise.all([first, releases.end(parent, b)]);
  assert.equal(sent.at(-1), "p has");
});

test("with a scheduler that does not count it, the slot is kept, and the log says why", async () => {
  const { releases, sent, warnings, attempt, used } = made({ supported: false });
  const parent = attempt("p");
  const [a, b] = [on("t-1"), on("t-2")];
  releases.begin(parent, a);
  releases.begin(parent, b);
  await Promise.all([releases.end(parent, a), releases.end(parent, b)]);
  assert.deepEqual([used(), sent, releases.absentCount], [1, [], 0]);
  assert.deepEqual(warnings, [
    { event: "task.slot.kept", reason: "the scheduler is older and counts every attempt" },
  ]);
  assert.equal(releases.ended(parent), true);
});

test("beyond the limit the slot is kept, and below it is freed again", () => {
  const { releases, warnings, attempt } = made({ slots: 2 });
  const limit = MAX_SLOT_RELEASES + 2;
  const parents = Array.from({ length: limit }, (_, n) => attempt(`p-${n}`));
  for (const parent of parents) releases.begin(parent, on("t-1"));
  const late = attempt("late");
  releases.begin(late, on("t-2"));
  assert.deepEqual([releases.absentCount, releases.isAbsent(late)], [limit, false]);
  assert.equal(warnings.length, 1);
  assert.equal(releases.ended(late), true);
  const [first] = parents;
  assert.ok(first);
  releases.ended(first);
  const next = attempt("next");
  releases.begin(next, on("t-3"));
  assert.equal(releases.isAbsent(next), true);
});
