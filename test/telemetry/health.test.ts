import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Client, credentials, status } from "@grpc/grpc-js";
import {
  FleetService,
  LauncherService,
  PoolService,
  ScheduleService,
  TaskService,
  WorkerService,
} from "@muster/protocol";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll } from "../support/programs/program.ts";
import { within } from "../support/waits.ts";

/** Status numbers of `grpc.health.v1`. */
const SERVING = 1;
const NOT_SERVING = 2;

let fleet: Fleet;
let client: Client;
before(async () => {
  fleet = await Fleet.start();
  client = new Client(fleet.scheduler.grpc, credentials.createInsecure());
});
after(async () => {
  client.close();
  await killAll();
  await fleet.stop();
});

describe("the scheduler's health", () => {
  it("lists what was looked at, and the loops with their ages", async () => {
    const { status, body } = await probe("/readyz");
    assert.equal(status, 200);
    assert.deepEqual(Object.keys(body.checks), [
      "database",
      "migrations",
      "notifications",
      "grpc",
      "http",
      "stopping",
    ]);
    const live = await probe("/livez");
    assert.equal(live.status, 200);
    for (const loop of ["database", "renew", "recovery", "deadlines", "wake", "poll", "retention"])
      assert.match(live.body.checks[`loop:${loop}`]?.detail ?? "", /last came round \d+ ms ago/, loop);
  });

  it("names the migrations that a database lacks, on HTTP and for every gRPC service", async () => {
    const services = [
      "",
      ...[TaskService, FleetService, ScheduleService, PoolService, LauncherService, WorkerService].map(
        ({ typeName }) => typeName,
      ),
    ];
    for (const service of services) assert.equal(await serving(service), SERVING, service);
    const { statuses, cancel } = watch(TaskService.typeName);
    await within("the watch begins", 1_000, async () => (statuses.length > 0 ? true : undefined));
    const [taken] = await fleet.db.query<{ number: number; name: string; checksum: string }>(
      "delete from muster.migration where number = 1 returning number, name, checksum",
    );
    assert.ok(taken);
    await within("/readyz names it", 6_000, async () => {
      const { status, body } = await probe("/readyz");
      if (status === 200) return undefined;
      assert.deepEqual(body.failed, ["migrations"]);
      assert.match(body.checks.migrations?.detail ?? "", /0001_initial/);
      return true;
    });
    for (const service of services) {
      await within(`${service} does not serve`, 1_000, async () =>
        (await serving(service)) === NOT_SERVING ? true : undefined,
      );
    }
    assert.equal((await probe("/livez")).status, 200, "a restart would not help");
    await fleet.db.query("insert into muster.migration (number, name, checksum) values ($1, $2, $3)", [
      taken.number,
      taken.name,
      taken.checksum,
    ]);
    await within("it is well again", 6_000, async () =>
      (await probe("/readyz")).status === 200 && (await serving(TaskService.typeName)) === SERVING
        ? true
        : undefined,
    );
    await within("the watch says all of it", 1_000, async () => (statuses.length > 2 ? true : undefined));
    assert.deepEqual(statuses, [SERVING, NOT_SERVING, SERVING]);
    cancel();
  });

  it("bears that the connection for notifications is cut", async () => {
    const cut =
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name like '% listen'";
    assert.ok((await fleet.db.query(`${cut} and datname = current_database()`)).length > 0);
    assert.equal((await probe("/readyz")).status, 200);
    await within("it listens again", 2_000, async () =>
      (await probe("/readyz")).body.checks.notifications?.detail === "arrive" ? true : undefined,
    );
  });
});

interface Report {
  readonly ok: boolean;
  readonly failed: readonly string[];
  readonly checks: Readonly<Record<string, { readonly ok: boolean; readonly detail: string }>>;
}

async function probe(path: string): Promise<{ status: number; body: Report }> {
  const response = await fetch(fleet.scheduler.http + path);
  const body: Report = JSON.parse(await response.text());
  assert.equal(body.ok, response.status === 200);
  return { status: response.status, body };
}

/** The status of a service on `grpc.health.v1`, from the bytes of the answer. */
function serving(service: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      "/grpc.health.v1.Health/Check",
      (value: Buffer) => value,
      (value: Buffer) => value,
      healthRequest(service),
      (error, answer?: Buffer) => (error ? reject(error) : resolve(answer?.[1])),
    );
  });
}

/** The statuses of a service as they come, until it is cancelled. */
function watch(service: string): { readonly statuses: readonly number[]; cancel(): void } {
  const statuses: number[] = [];
  const call = client.makeServerStreamRequest(
    "/grpc.health.v1.Health/Watch",
    (value: Buffer) => value,
    (value: Buffer) => value,
    healthRequest(service),
  );
  call.on("data", (answer: Buffer) => statuses.push(answer[1] ?? 0));
  call.on("error", (error) => assert.equal(Object(error).code, status.CANCELLED));
  return { statuses, cancel: () => call.cancel() };
}

function healthRequest(service: string): Buffer {
  const name = Buffer.from(service);
  return name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, name.length]), name]);
}
