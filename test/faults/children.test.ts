import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { PlainTask } from "@muster/worker/client";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll } from "../support/programs/program.ts";
import { runMuster } from "../support/programs/run-muster.ts";

describe("children of tasks", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start();
  });
  after(async () => {
    await killAll();
    await fleet.stop();
  });

  it("T69: a parent whose worker dies after it submitted a named child finds the child in its next attempt", async () => {
    const once = { queue: "parents", retry: { delaysS: [0] } };
    const dying = await fleet.worker("dying", { queue: "parents", slots: 1 });
    const parent = await fleet.client.submit("parent", { queue: "children" }, once);
    assert.equal((await dying.ended).code, 9);
    await fleet.worker("children", { queue: "children", slots: 1 });
    await fleet.worker("next", { queue: "parents", slots: 1 });
    const children: PlainTask[] = [];
    for await (const each of fleet.client.children(parent.id)) children.push(each);
    const [child, ...more] = children;
    assert.ok(child && more.length === 0, "one child");
    assert.deepEqual(await parent.result({ timeoutS: 30 }), {
      child: child.id,
      duplicate: true,
      result: parent.id,
    });
    assert.equal(fleet.runs(child.id).length, 1, "it ran once");
    assert.deepEqual([child.parentId, child.tags], [parent.id, [`parent:${parent.id}`]]);
    const { stdout } = await runMuster(fleet.scheduler.grpc, ["task", child.id]);
    assert.match(stdout, new RegExp(`^parent\\t${parent.id}$`, "m"));
  });

  it("a worker that drains closes the connection of its children, and ends", async () => {
    const worker = await fleet.worker("draining", { queue: "draining", slots: 1 });
    const parent = await fleet.client.submit(
      "parent",
      { queue: "children" },
      { queue: "draining", retry: { delaysS: [0] } },
    );
    assert.equal((await worker.ended).code, 9);
    const second = await fleet.worker("draining-2", { queue: "draining", slots: 1 });
    await parent.result({ timeoutS: 30 });
    assert.deepEqual(await second.end(), { code: 0, signal: null }, second.tail());
  });
});
