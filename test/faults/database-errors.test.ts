import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { MusterError, type TaskHandle } from "@muster/worker/client";
import pg from "pg";
import { lockTable } from "../support/database/locker.ts";
import { Fleet, type Gate } from "../support/fleet/fleet.ts";
import { FaultProxy } from "../support/peers/fault-proxy.ts";
import { killAll, type Program } from "../support/programs/program.ts";
import { within } from "../support/waits.ts";

/** Callers get an error within this when the database cannot be used. */
const REPORTED_MS = 2_000;

/** Everything has landed within this after the cause is gone. */
const LANDED_MS = 8_000;

const ONE_LIFE = ["created", "assigned", "accepted", "started", "succeeded"];

/** A role of its own for the scheduler, as an operator makes one; `admin` is another one, which is not locked out. */
class Account {
  readonly name = `muster_${process.pid}_${Math.random().toString(36).slice(2, 8)}`;
  readonly #admin: pg.Client;
  readonly #database: string;
  #detached: readonly { readonly name: string; readonly bound: string }[] = [];

  private constructor(admin: pg.Client, database: string) {
    this.#admin = admin;
    this.#database = database;
  }

  static async make(url: string): Promise<{ account: Account; url: string }> {
    const admin = new pg.Client({ connectionString: url });
    await admin.connect();
    const account = new Account(admin, new URL(url).pathname.slice(1));
    await account.sql(
      `create role ${account.name} login password 'first'`,
      `grant create on database ${account.#database} to ${account.name}`,
      `grant usage, create on schema muster to ${account.name}`,
      `grant all on all tables in schema muster to ${account.name}`,
      `grant all on all sequences in schema muster to ${account.name}`,
    );
    const own = new URL(url);
    own.username = account.name;
    own.password = "first";
    return { account, url: own.href };
  }

  async sql(...statements: string[]): Promise<void> {
    for (const statement of statements) await this.#admin.query(statement);
  }

  /** Ends the role's sessions, as after a change that only new ones feel. */
  async endSessions(): Promise<void> {
    await this.#admin.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = $1", [
      this.name,
    ]);
  }

  /** Takes every partition of the events away, or gives them back. */
  async partitions(what: "detach" | "attach"): Promise<void> {
    if (what === "detach") {
      const { rows } = await this.#admin.query<{ name: string; bound: string }>(
        `select c.relname as name, pg_get_expr(c.relpartbound, c.oid) as bound
           from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'muster.event'::regclass
          order by pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT' desc`,
      );
      this.#detached = rows;
    }
    // The default partition goes first and comes last: what it took meanwhile would be another's.
    for (const { name, bound } of what === "detach" ? this.#detached : this.#detached.toReversed())
      await this.sql(
        `alter table muster.event ${what} partition muster.${name} ${what === "attach" ? bound : ""}`,
      );
  }

  async drop(): Promise<void> {
    await this.sql(`drop owned by ${this.name}`, `drop role ${this.name}`);
    await this.#admin.end();
  }
}

describe("errors of the database while results are due", () => {
  let fleet: Fleet;
  let proxy: FaultProxy;
  let account: Account;
  let worker: Program;

  before(async () => {
    fleet = await Fleet.start({
      // What is tried are the errors, not leases on a busy machine.
      args: ["--lease", "4", "--reconnect-grace", "4"],
      databaseUrl: async (url) => {
        const made = await Account.make(url);
        account = made.account;
        const parsed = new URL(made.url);
        proxy = await FaultProxy.start(parsed.host);
        parsed.host = proxy.address;
        return parsed.href;
      },
    });
    worker = await fleet.worker("errors", { slots: 8 });
    await (await fleet.client.submit("gate", { gate: "/" })).result();
  });

  after(async () => {
    await killAll();
    await proxy.stop();
    await account.drop();
    await fleet.stop();
  });

  async function ready(): Promise<void> {
    await within("/readyz is well", REPORTED_MS, async () =>
      (await fetch(`${fleet.scheduler.http}/readyz`)).ok ? true : undefined,
    );
  }

  /** Tasks that run until their gate is opened. */
  async function due(count: number): Promise<{ gate: Gate; handles: TaskHandle[] }> {
    await ready();
    const gate = fleet.gate();
    const handles = await fleet.client.submitMany(
      Array.from({ length: count }, () => ({ type: "gate", payload: { gate: gate.path } })),
    );
    for (const { id } of handles) await fleet.eventually(id, "started");
    return { gate, handles };
  }

  async function returned(handles: readonly TaskHandle[]): Promise<void> {
    for (const { id } of handles) await worker.line("task.completed", ({ task_id }) => task_id === id);
  }

  /** All succeeded with their first attempt, each handler ran once, and no stream was made anew for it. */
  async function landed(handles: readonly TaskHandle[], mark: number): Promise<void> {
    await within("every result has landed", LANDED_MS, async () => {
      const [row] = await fleet.db.query<{ open: number }>("select count(*)::int as open from task");
      return row?.open === 0 ? true : undefined;
    });
    await ready();
    for (const handle of handles) {
      assert.deepEqual(await handle.result(), { worker: "errors", attempt: 1 });
      assert.equal(fleet.runs(handle.id).length, 1);
      assert.deepEqual(await fleet.events(handle.id), ONE_LIFE);
    }
    // A busy machine may break a stream; the database's errors may not.
    const broken = worker.lines.slice(mark).filter(({ event }) => event === "worker.disconnected");
    assert.doesNotMatch(JSON.stringify(broken), /DATABASE_UNAVAILABLE|INTERNAL/);
    assert.equal(await (await fleet.client.submit("echo", "after")).result(), "after");
  }

  /** Probe, submits and cancellations say why; @param why What is named. */
  async function assertExplained(why: RegExp, handle: TaskHandle): Promise<void> {
    await within(`/readyz says ${why}`, REPORTED_MS, async () => {
      const response = await fetch(`${fleet.scheduler.http}/readyz`);
      return response.status === 503 && why.test(await response.text()) ? true : undefined;
    });
    for (const call of [() => fleet.client.submit("echo", "meanwhile"), () => handle.cancel("meanwhile")]) {
      const error = await call().then(
        () => assert.fail("the call was accepted"),
        (thrown: unknown) => MusterError.from(thrown),
      );
      assert.deepEqual([error.codeName, error.reason], ["Unavailable", "DATABASE_UNAVAILABLE"]);
      assert.match(error.message, why);
    }
    await fleet.taskReason(handle.id, "DATABASE_UNAVAILABLE", REPORTED_MS, { evidence: { last_error: why } });
  }

  /** Each changes the database so that results cannot be stored, and back. */
  const outages: readonly {
    readonly title: string;
    readonly why: RegExp;
    readonly begin: () => Promise<void>;
    readonly end: () => Promise<void>;
  }[] = [
    {
      title: "T4: the role loses its login and its sessions end",
      why: /does not let the role log in.*28000/,
      begin: async () => {
        await account.sql(`alter role ${account.name} nologin`);
        await account.endSessions();
      },
      end: () => account.sql(`alter role ${account.name} login`),
    },
    {
      title: "T4: the role's password is changed",
      why: /refuses the password.*28P01/,
      begin: async () => {
        await account.sql(`alter role ${account.name} password 'second'`);
        await account.endSessions();
      },
      end: () => account.sql(`alter role ${account.name} password 'first'`),
    },
    {
      title: "T4: the role's connection limit is used up",
      why: /takes no more connections.*53300/,
      begin: async () => {
        await account.sql(`alter role ${account.name} connection limit 0`);
        await account.endSessions();
      },
      end: () => account.sql(`alter role ${account.name} connection limit -1`),
    },
    {
      title: "T4: new sessions may only read",
      why: /takes no writes/,
      begin: async () => {
        await account.sql(`alter role ${account.name} set default_transaction_read_only = on`);
        await account.endSessions();
      },
      end: () => account.sql(`alter role ${account.name} reset default_transaction_read_only`),
    },
    {
      title: "T5: a pooler answers every connection with FATAL XX000",
      why: /pooler.*XX000/,
      begin: async () => {
        proxy.fatalAt({ code: "XX000", times: 1_000_000 });
        proxy.cut();
      },
      end: async () => proxy.heal(),
    },
  ];

  // Grants and partitions: the database answers everything else, and no session ends.
  const refusals: typeof outages = [
    {
      title: "T4: the role may not insert into one table any more",
      why: /lacks (a privilege.*permission denied for table task_finished.*42501|rights in .*GRANT INSERT ON muster\.task_finished)/,
      begin: () => account.sql(`revoke insert on muster.task_finished from ${account.name}`),
      end: () => account.sql(`grant insert on muster.task_finished to ${account.name}`),
    },
    {
      title: "T4: a partition is missing",
      why: /no partition of relation .*event.* found for row.*23514/,
      begin: () => account.partitions("detach"),
      end: () => account.partitions("attach"),
    },
  ];

  for (const { title, why, begin, end } of [...outages, ...refusals]) {
    it(`${title}: told with its reason, and every result lands`, async () => {
      const mark = worker.mark();
      const { gate, handles } = await due(5);
      const [first] = handles;
      assert.ok(first);
      await begin();
      try {
        gate.open();
        await returned(handles);
        await assertExplained(why, first);
      } finally {
        await end();
      }
      await landed(handles, mark);
    });
  }

  it("T4: an administrator cancels the statements of results: every result lands", async () => {
    const mark = worker.mark();
    const { gate, handles } = await due(5);
    const locker = await lockTable(fleet.db.url, "task_finished");
    try {
      gate.open();
      await returned(handles);
      await within("a statement of a result is cancelled", REPORTED_MS, async () => {
        const cancelled = await fleet.db.query(
          "select pg_cancel_backend(pid) from pg_stat_activity where usename = $1 and wait_event_type = 'Lock'",
          [account.name],
        );
        return cancelled.length > 0 ? true : undefined;
      });
    } finally {
      await locker.release();
    }
    await landed(handles, mark);
  });

  it("T5: the connection of a result ends with FATAL XX000: it succeeds once", async () => {
    const mark = worker.mark();
    const { gate, handles } = await due(1);
    proxy.fatalAt({ code: "XX000", text: "task-finish", times: 1 });
    gate.open();
    await landed(handles, mark);
    assert.equal(proxy.fatalsLeft, 0, "the proxy did not meet the result");
  });

  it("T5: the answer to a result's commit is lost, and the database is away for longer: it is acknowledged", async () => {
    const mark = worker.mark();
    const { gate, handles } = await due(2);
    const { program } = fleet.scheduler;
    const logMark = program.mark();
    proxy.loseAnswerTo("task-finish");
    gate.open();
    await program.line("results.waiting_for_database", () => true, { after: logMark });
    proxy.heal();
    await landed(handles, mark);
    const refused = worker.lines.slice(mark).filter(({ event }) => event === "task.result.refused");
    assert.deepEqual(refused, []);
  });
});
