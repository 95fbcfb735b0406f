import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Fleet, H, L } from "../support/fleet/fleet.ts";
import { killAll, type Program } from "../support/programs/program.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { within } from "../support/waits.ts";

/** How long a supervisor takes to start a process again. */
const RESTART_MS = 1_000;

/** First wait of a process that lost its worker id to another and asks for it again. */
const FIRST_TENURE_MS = 5_000;

/** Keeps one process of a worker id alive, as systemd or a container platform does. */
class Supervisor {
  readonly started: Program[] = [];
  readonly #start: () => Promise<Program>;
  #stopped = false;
  readonly over: Promise<void>;

  constructor(start: () => Promise<Program>) {
    this.#start = start;
    this.over = this.#run();
  }

  stop(): void {
    this.#stopped = true;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const program = await this.#start();
      this.started.push(program);
      await program.ended;
      if (!this.#stopped) await new Promise((resolve) => setTimeout(resolve, RESTART_MS));
    }
  }
}

describe("one worker id", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start({ schedulers: 2 });
  });

  const supervisors: Supervisor[] = [];

  after(async () => {
    for (const supervisor of supervisors) supervisor.stop();
    await killAll();
    await fleet.stop();
  });

  function logged(event: string, workerId: string) {
    return fleet.schedulers
      .flatMap(({ program }) => program.lines)
      .filter((line) => line.event === event && line.worker_id === workerId);
  }

  it("T19: two processes that are restarted: no attempt is lost, growing waits, both are named", async () => {
    const id = "shared-id";
    const tasks = await Promise.all(
      Array.from({ length: 8 }, () =>
        fleet.client.submit("sleep", { ms: 1_000 }, { queue: id, retry: { maxRetries: 0 } }),
      ),
    );
    const began = performance.now();
    for (const { grpc } of fleet.schedulers) {
      const start = () => fleet.worker(id, { queue: id, slots: 1, scheduler: grpc, waitReady: false });
      supervisors.push(new Supervisor(start));
    }
    // The second wait is twice as long.
    await within(
      "two waits",
      12 * FIRST_TENURE_MS,
      () =>
        logged("worker.id_contested", id).some(({ wait_ms }) => Number(wait_ms) > FIRST_TENURE_MS) ||
        undefined,
    );
    const { reason } = await fleet.workerReason(id, "ID_CONTESTED", 2 * H);
    const named = logged("worker.id_contested", id).find(({ holder, waiting }) =>
      [holder, waiting].every((name) => reason.evidence.some(({ value }) => value === String(name))),
    );
    assert.ok(named, reason.evidence.map(({ value }) => value).join("; "));
    for (const name of [named.holder, named.waiting]) assert.match(String(name), /^process \d+ on \S+$/);
    const { stdout } = await runMuster(fleet.scheduler.grpc, [
      "doctor",
      "--http",
      fleet.scheduler.http.replace("http://", ""),
    ]);
    assert.match(stdout, /workers\.contested/);
    // The one that is in the log by now may have taken it over meanwhile.
    const holders = logged("worker.id_contested", id).map(({ holder }) => String(holder));
    assert.ok(
      holders.some((holder) => stdout.replaceAll(/\s+/g, " ").includes(holder)),
      stdout,
    );
    const { value: said } = await within("a process that waits says so", FIRST_TENURE_MS, () =>
      supervisors
        .flatMap(({ started }) => started.flatMap(({ lines }) => lines))
        .find(({ event, error }) => event === "worker.dial.failed" && /ID_CONTESTED/.test(String(error))),
    );
    assert.match(String(said.error), /Give each process a WORKER_ID of its own/);
    for (const handle of tasks) assert.deepEqual(await handle.result(), { slept: 1_000, worker: id });
    for (const { id: taskId } of tasks) assert.equal((await fleet.task(taskId)).attemptCount, 1);
    // One at once, and one after each wait: 5, 10, 20 s and so on.
    const most = 1 + Math.log2(1 + (performance.now() - began) / FIRST_TENURE_MS);
    const superseded = logged("worker.superseded", id);
    assert.ok(superseded.length <= most, `at most ${most} takeovers, not ${JSON.stringify(superseded)}`);
    for (const supervisor of supervisors) {
      supervisor.stop();
      await supervisor.started.at(-1)?.end("SIGKILL");
      await supervisor.over;
    }
  });

  it("T19: a process that replaces a dead or draining one takes over at once, again and again", async () => {
    const id = "replaced";
    for (let round = 0; round < 3; round++) {
      const worker = await fleet.worker(id, { queue: id });
      await worker.end("SIGKILL");
    }
    for (let round = 0; round < 2; round++) {
      const draining = await fleet.worker(id, { queue: id });
      const gate = fleet.gate();
      const task = await fleet.client.submit("gate", { gate: gate.path }, { queue: id });
      await fleet.eventually(task.id, "started");
      draining.kill("SIGTERM");
      await draining.line("worker.draining");
      await within("the drain is known", L, async () =>
        (await fleet.workerEvents(id)).filter((name) => name === "worker.draining").length > round
          ? true
          : undefined,
      );
      await fleet.worker(id, { queue: id });
      gate.open();
      await task.result();
      assert.equal((await fleet.task(task.id)).attemptCount, 1, "a planned takeover costs no attempt");
      await draining.ended;
    }
    assert.deepEqual(logged("worker.id_contested", id), []);
  });
});
