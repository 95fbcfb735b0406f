/** Each mechanism that has a mode, with the same scenario in mode `act` and in mode `observe`. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { CheckStatus, FailureClass, MechanismMode } from "@muster/protocol";
import { Client, MusterError, TaskFailedError } from "@muster/worker/client";
import {
  MECHANISM_NAMES,
  MECHANISMS,
  type MechanismName,
} from "../../scheduler/src/domain/mechanisms/mechanism.ts";
import { factOf } from "../support/fleet/expected-reasons.ts";
import { Fleet, H } from "../support/fleet/fleet.ts";
import { cutAll, RawWorker, type RawWorkerOptions } from "../support/peers/raw-worker.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler, type TestScheduler } from "../support/programs/scheduler.ts";
import { Scrape } from "../support/telemetry/scrape.ts";
import { until } from "../support/waits.ts";

const QUARANTINE = ["--quarantine-after", "4", "--quarantine-window", "120"];
const OBSERVE = ["--modes", "all=observe"];

/** What led a mechanism to act, or to record that it would have. */
interface Scenario {
  /** Brings it about, and returns what ends it once the mechanism has acted or observed. */
  readonly drive: (fleet: Fleet) => Promise<() => Promise<void>>;
  /** Counts in the database what the mechanism has done. */
  readonly acted: string;
  /** So often it acts. */
  readonly times: number;
}

const connect = (
  fleet: Fleet,
  workerId: string,
  queue: string,
  { at = fleet.scheduler, ...options }: RawWorkerOptions & { readonly at?: TestScheduler } = {},
) => RawWorker.connect(at.grpc, { workerId, ...options, hello: { queues: [queue] } });

const failed = (code: string, failureClass: FailureClass = FailureClass.NON_RETRYABLE) => ({
  case: "failed" as const,
  value: { failureClass, code, message: "it broke" },
});

type Outcome = ReturnType<typeof failed> | { readonly case: "succeeded"; readonly value: object };
const SUCCEEDED: Outcome = { case: "succeeded", value: {} };

function answer(worker: RawWorker, attemptId: string, outcome: Outcome): void {
  worker.send({ case: "taskResults", value: { results: [{ attemptId, outcome }] } });
}

/** Ends every attempt of the worker in the same way, until its stream ends. */
function answerAll(worker: RawWorker, outcome: Outcome): void {
  const seen = new Set<string>();
  const answerNext = async (): Promise<void> => {
    const frame = await worker.next("assignments", ({ assignments }) =>
      assignments.some(({ attemptId }) => !seen.has(attemptId)),
    );
    for (const { attemptId } of frame.assignments) {
      if (seen.has(attemptId)) continue;
      seen.add(attemptId);
      answer(worker, attemptId, outcome);
    }
    await answerNext();
  };
  void answerNext().catch(() => undefined);
}

/** In mode `act` it may have ended. */
const cancel = (fleet: Fleet, taskId: string) =>
  fleet.client.tasks.cancelTask({ taskId, reason: "over" }).catch((error) => {
    if (!(error instanceof MusterError && error.reason === "TASK_ALREADY_ENDED")) throw error;
  });

const outcomes = (outcome: string) =>
  `select count(*)::int as count from task_attempt where outcome = '${outcome}'`;
const endedAs = (detail: string) =>
  `select count(*)::int as count from task_finished where detail = '${detail}'`;
const events = (name: string) => `select count(*)::int as count from event where name = '${name}'`;

/** A mechanism without its scenario does not compile. */
const SCENARIOS: Readonly<Record<MechanismName, Scenario>> = {
  recovery: {
    acted: outcomes("requeued:stale"),
    times: 2,
    drive: async (fleet) => {
      const worker = await connect(fleet, "lost", "recovery", { slots: 2 });
      const tasks = [1, 2].map((payload) => fleet.client.submit("echo", payload, { queue: "recovery" }));
      for (const { id } of await Promise.all(tasks)) await worker.assignment(id);
      worker.cut();
      return async () => {
        for (const task of await Promise.all(tasks)) await cancel(fleet, task.id);
      };
    },
  },
  unaccepted: {
    acted: outcomes("requeued:unaccepted"),
    times: 1,
    drive: async (fleet) => {
      const worker = await connect(fleet, "mute", "unaccepted", { autoAccept: false });
      const task = await fleet.client.submit("echo", 1, { queue: "unaccepted" });
      const { attemptId } = await worker.assignment(task.id);
      return async () => {
        worker.accept(attemptId);
        answer(worker, attemptId, SUCCEEDED);
        await task.result();
        worker.cut();
      };
    },
  },
  forgotten: {
    acted: outcomes("requeued:forgotten"),
    times: 1,
    drive: async (fleet) => {
      const worker = await connect(fleet, "forgetful", "forgotten", { slots: 2, beat: false });
      const [kept, lost] = await Promise.all(
        ["kept", "lost"].map((payload) => fleet.client.submit("echo", payload, { queue: "forgotten" })),
      );
      assert.ok(kept && lost);
      const listed = (await worker.assignment(kept.id)).attemptId;
      const { attemptId } = await worker.assignment(lost.id);
      let sequence = 0n;
      const timer = setInterval(() => {
        sequence += 1n;
        const running = [{ attemptId: listed }];
        worker.send({ case: "heartbeat", value: { sequence, slotCount: 2, running } });
      }, H);
      return async () => {
        clearInterval(timer);
        answer(worker, attemptId, SUCCEEDED);
        answer(worker, listed, SUCCEEDED);
        await kept.result();
        worker.cut();
        await cancel(fleet, lost.id);
      };
    },
  },
  attempt_limits: {
    acted: endedAs("RETRIES_EXHAUSTED"),
    times: 1,
    drive: async (fleet) => {
      const worker = await connect(fleet, "failing", "limits");
      const retry = { maxRetries: 1, delaysS: [0] };
      const task = await fleet.client.submit("echo", 1, { queue: "limits", retry });
      for (const epoch of [1, 2]) {
        const attemptId = `${task.id}.${epoch}`;
        await worker.next("assignments", ({ assignments }) =>
          assignments.some((each) => each.attemptId === attemptId),
        );
        answer(worker, attemptId, failed("BROKE", FailureClass.RETRYABLE));
      }
      return async () => {
        await cancel(fleet, task.id);
        answerAll(worker, SUCCEEDED);
        await until(`${task.id} has ended`, async () =>
          (await fleet.client.get(task.id)).finishTime ? true : undefined,
        );
        worker.cut();
      };
    },
  },
  poison: {
    // It lets the task run alone with the first death, and ends it with the third.
    acted: `select (select count(*) from task_finished where detail = 'POISONED')::int
      + (select count(*) from task_class where alone)::int as count`,
    times: 2,
    drive: async (fleet) => {
      const task = await fleet.client.submit("echo", 1, { queue: "poison" });
      for (const epoch of [1, 2, 3]) {
        const worker = await connect(fleet, `victim-${epoch}`, "poison");
        const { attemptId } = await worker.assignment(task.id);
        worker.send({
          case: "workerFatal",
          value: { attemptId, exceptionClass: "TypeError", exceptionMessage: "it broke", phase: "handler" },
        });
        if (epoch === 3) break;
        await until(`the death of ${attemptId}`, async () =>
          (await fleet.task(task.id)).attempts[epoch - 1]?.endTime ? true : undefined,
        );
        worker.cut();
        // Without the wait after a death.
        await fleet.client.tasks.retryTask({ taskId: task.id });
      }
      return async () => void (await cancel(fleet, task.id));
    },
  },
  circuits: {
    acted: events("circuit.opened"),
    times: 1,
    drive: async (fleet) => {
      const worker = await connect(fleet, "refused", "circuits", { slots: 4 });
      answerAll(worker, failed("PROVIDER_DOWN"));
      const circuit = { key: "provider", minSamples: 2, openForS: 3_600 };
      const handles = await fleet.client.submitMany(
        [1, 2].map((payload) => ({ type: "echo", payload, queue: "circuits", circuit })),
      );
      for (const handle of handles) await assert.rejects(handle.result());
      return async () => worker.cut();
    },
  },
  quarantine: {
    acted: events("worker.quarantined"),
    times: 1,
    drive: async (fleet) => {
      const bad = await connect(fleet, "black-hole", "quarantine");
      const good = await connect(fleet, "peer", "quarantine");
      answerAll(bad, failed("CUDA"));
      answerAll(good, SUCCEEDED);
      await until("both have ended enough", async () => {
        const handle = await fleet.client.submit("echo", 1, { queue: "quarantine" });
        await handle.result().catch((error) => assert.ok(error instanceof TaskFailedError, String(error)));
        const count = (worker: RawWorker) => worker.assignments().length;
        return (count(bad) >= 4 && count(good) >= 4) || undefined;
      });
      return async () => {
        bad.cut();
        good.cut();
      };
    },
  },
};

async function acted(fleet: Fleet, name: MechanismName): Promise<number> {
  const [row] = await fleet.db.query<{ count: number }>(SCENARIOS[name].acted);
  return row?.count ?? 0;
}

/** What was recorded in the database, by mechanism. */
async function recorded(fleet: Fleet): Promise<Map<string, number>> {
  const rows = await fleet.db.query<{ mechanism: string; count: number }>(
    `select attributes ->> 'mechanism' as mechanism, count(*)::int as count
       from event where name = 'mechanism.observed' group by 1`,
  );
  return new Map(rows.map(({ mechanism, count }) => [mechanism, count]));
}

/** What the schedulers have counted together. */
async function counted(fleet: Fleet, mechanism: MechanismName): Promise<number> {
  const scrapes = await Promise.all(fleet.schedulers.map(({ http }) => Scrape.of(http)));
  const sums = scrapes.map((each) => each.sum("muster_mechanism_observed_total", { mechanism }));
  return sums.reduce((total, sum) => total + sum, 0);
}

after(async () => {
  cutAll();
  await killAll();
});

describe("T59: mechanisms in mode observe", () => {
  let acting: Fleet;
  let observing: Fleet;

  before(async () => {
    [acting, observing] = await Promise.all([
      Fleet.start({ args: QUARANTINE }),
      Fleet.start({ args: [...QUARANTINE, ...OBSERVE] }),
    ]);
  });

  after(async () => {
    cutAll();
    await killAll();
    await acting.stop();
    await observing.stop();
  });

  for (const name of MECHANISM_NAMES)
    it(`${name}: does nothing, and records as often what it would have done as it acts in mode act`, async () => {
      const { drive, times } = SCENARIOS[name];
      const ends = await Promise.all([acting, observing].map((fleet) => drive(fleet)));
      await until(
        `${name} acts ${times} times`,
        async () => (await acted(acting, name)) >= times || undefined,
      );
      await until(`${name} is observed`, async () =>
        ((await recorded(observing)).get(name) ?? 0) >= times ? true : undefined,
      );
      assert.equal(await acted(acting, name), times);
      for (const end of ends) await end();
      assert.equal(await acted(observing, name), 0);
      const lines = observing.scheduler.program.lines.filter(
        ({ event, mechanism }) => event === "mechanism.observed" && mechanism === name,
      );
      assert.equal(lines.length, times);
      for (const line of lines) {
        const subject = MECHANISMS[name].counts === "worker" ? line.worker_id : line.attempt_id;
        assert.ok(subject && line.reason && line.would, JSON.stringify(line));
      }
    });

  it("count each action once, however often it is found again", async () => {
    for (const name of MECHANISM_NAMES) {
      assert.equal((await recorded(observing)).get(name), SCENARIOS[name].times, name);
      assert.equal(await counted(observing, name), SCENARIOS[name].times, name);
      assert.equal(await counted(acting, name), 0, name);
    }
    assert.equal((await recorded(acting)).size, 0);
  });
});

describe("T59: two schedulers in mode observe, and then in mode act", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start({ schedulers: 2, args: OBSERVE });
  });

  after(async () => {
    cutAll();
    await killAll();
    await fleet.stop();
  });

  it("a lost worker is recorded once, by one of them, is explained, and is recovered after the restart", async () => {
    const worker = await connect(fleet, "left", "left");
    const mute = await connect(fleet, "left-mute", "left-mute", { autoAccept: false });
    const task = await fleet.client.submit("echo", 1, { queue: "left" });
    const unanswered = await fleet.client.submit("echo", 1, { queue: "left-mute" });
    await worker.assignment(task.id);
    const { attemptId } = await mute.assignment(unanswered.id);
    await until("the heartbeats of both count what they hold", async () => {
      const rows = await fleet.db.query<{ held: string | null }>(
        "select heartbeat -> 'seen' ->> 'outstanding' as held from session_lease",
      );
      return rows.every(({ held }) => held === "1") || undefined;
    });
    worker.cut();
    const facts = { mechanism: /^recovery$/, mode: /^observe$/, set_at: /, /, worker: /^left$/ };
    await fleet.taskReason(task.id, "MECHANISM_NOT_ACTING", 10_000, { evidence: facts });
    await fleet.workerReason("left", "MECHANISM_NOT_ACTING", 0);
    await fleet.taskReason(unanswered.id, "MECHANISM_NOT_ACTING", 10_000, {
      evidence: { mechanism: /^unaccepted$/, worker: /^left-mute$/ },
    });
    await until("the loss is recorded", async () => (await recorded(fleet)).get("recovery"));
    const { diagnosis } = await fleet.client.fleet.diagnose({});
    const check = diagnosis?.checks.find(({ name }) => name === "configuration.modes");
    assert.deepEqual(
      [check?.status, check?.evidence.filter(({ key }) => key === "scheduler").length],
      [CheckStatus.NOTE, 2],
    );

    // Both are killed one after the other; what was recorded stays recorded.
    for (const scheduler of [...fleet.schedulers]) {
      scheduler.program.kill("SIGKILL");
      await scheduler.program.ended;
      await fleet.restart(scheduler, OBSERVE);
    }
    await until("a scan of each", async () => {
      const scans = await Promise.all(fleet.schedulers.map(({ http }) => Scrape.of(http)));
      const ran = scans.every(
        (each) => each.sum("muster_loop_last_run_timestamp_seconds", { loop: "recovery" }) > 0,
      );
      return ran || undefined;
    });
    const times = (await fleet.events(task.id)).filter((event) => event === "mechanism.observed").length;
    assert.equal(times, 1);
    for (const scheduler of [...fleet.schedulers]) {
      scheduler.program.kill("SIGTERM");
      await scheduler.program.ended;
      await fleet.restart(scheduler);
    }
    await fleet.eventually(task.id, "requeued:stale");
    const other = await connect(fleet, "takes-over", "left");
    other.succeed((await other.assignment(task.id)).attemptId);
    await task.result();
    // Its worker did not come back, so it was lost as well.
    await fleet.eventually(unanswered.id, "requeued:stale");
    assert.equal(attemptId, `${unanswered.id}.1`);
    other.cut();
    await cancel(fleet, unanswered.id);
  });
});

describe("T59: a scan for lost workers at an interval of its own", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start({ args: ["--recovery-interval", "3600"] });
  });

  after(async () => {
    cutAll();
    await killAll();
    await fleet.stop();
  });

  it("recovers nothing before the interval is over, whatever the renewals of leases", async () => {
    const worker = await connect(fleet, "between", "between");
    const task = await fleet.client.submit("echo", 1, { queue: "between" });
    await worker.assignment(task.id);
    worker.cut();
    await until("the grace is over", async () => {
      const { reason } = await fleet.taskReason(task.id, "WORKER_SUSPECT", 10_000);
      return factOf(reason, "grace_left") === "0 ms" || undefined;
    });
    const renewed = async () =>
      (await Scrape.of(fleet.scheduler.http)).sum("muster_loop_last_run_timestamp_seconds", {
        loop: "renew",
      });
    const before = await renewed();
    await until("leases were renewed since", async () => (await renewed()) > before + H / 1_000 || undefined);
    assert.ok(!(await fleet.events(task.id)).includes("requeued:stale"));
    const old = fleet.scheduler;
    old.program.kill("SIGTERM");
    await old.program.ended;
    await fleet.restart(old, ["--recovery-interval", "0.1"]);
    await fleet.eventually(task.id, "requeued:stale");
    await cancel(fleet, task.id);
  });
});

describe("T59: two schedulers with different modes", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start();
    fleet.schedulers.push(await startTestScheduler({ databaseUrl: fleet.db.url, args: OBSERVE }));
  });

  after(async () => {
    cutAll();
    await killAll();
    await fleet.stop();
  });

  it("the one in mode act recovers the workers of both; what a stream shows is left to its scheduler", async () => {
    const [acting, observing] = fleet.schedulers;
    assert.ok(acting && observing);
    const lost = await connect(fleet, "lost", "lost", { at: observing });
    const task = await fleet.client.submit("echo", 1, { queue: "lost" });
    await lost.assignment(task.id);
    lost.cut();
    await fleet.eventually(task.id, "requeued:stale");

    const [atActing, atObserving] = await Promise.all(
      [acting, observing].map(async (at, index) => {
        const queue = `mute-${index}`;
        const worker = await connect(fleet, queue, queue, { at, autoAccept: false });
        const handle = await fleet.client.submit("echo", 1, { queue });
        return { worker, handle, attemptId: (await worker.assignment(handle.id)).attemptId };
      }),
    );
    assert.ok(atActing && atObserving);
    await fleet.eventually(atActing.handle.id, "requeued:unaccepted");
    await fleet.eventually(atObserving.handle.id, "mechanism.observed");
    await fleet.taskReason(atObserving.handle.id, "MECHANISM_NOT_ACTING", 1_000, {
      evidence: { mechanism: /^unaccepted$/, set_at: new RegExp(`^${observing.id}$`) },
    });
    assert.ok(!(await fleet.events(atObserving.handle.id)).includes("requeued:unaccepted"));
    const { diagnosis } = await fleet.client.fleet.diagnose({});
    const check = diagnosis?.checks.find(({ name }) => name === "configuration.modes");
    assert.equal(check?.status, CheckStatus.WARNING);
    // A queue's own mode goes before that of the scheduler.
    using atOne = new Client({ scheduler: acting.grpc });
    await atOne.fleet.configureQueue({
      queue: "own-mode",
      settings: { unacceptedMode: MechanismMode.OBSERVE },
      reason: "a new handler",
    });
    const own = await connect(fleet, "own-mode", "own-mode", { at: acting, autoAccept: false });
    const ofQueue = await fleet.client.submit("echo", 1, { queue: "own-mode" });
    const sent = await own.assignment(ofQueue.id);
    await fleet.eventually(ofQueue.id, "mechanism.observed");
    await fleet.taskReason(ofQueue.id, "MECHANISM_NOT_ACTING", 1_000, {
      evidence: { mechanism: /^unaccepted$/, set_at: /^queue own-mode$/ },
      commands: ["muster queue set own-mode --mode unaccepted=act"],
    });
    own.accept(sent.attemptId);
    answer(own, sent.attemptId, SUCCEEDED);
    await ofQueue.result();
    own.cut();
    for (const { worker, handle, attemptId } of [atActing, atObserving]) {
      worker.accept(attemptId);
      answer(worker, attemptId, SUCCEEDED);
      await handle.result();
      worker.cut();
    }
    await cancel(fleet, task.id);
  });
});
