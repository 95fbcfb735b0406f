import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, afterEach, before, describe, it } from "node:test";
import { Client } from "@muster/worker/client";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler, type TestScheduler } from "../support/programs/scheduler.ts";

const CALL = "/muster.v1.TaskService/ListTasks";
const TOKEN = "a-token";

/** `Host` headers without a host name. */
const HOSTS = [
  "",
  "[",
  "[::1",
  "a b",
  "a/b",
  "http://a",
  "a@b",
  "a:b",
  "a:99999999",
  "\u00ff",
  ":80",
  "[::1]x",
];

/** Targets that are no path. */
const TARGETS = [
  "//",
  "//x",
  "http://127.0.0.1/livez",
  "*",
  "muster.v1.TaskService/GetTask",
  "http://[/",
  "?x",
];

describe("protocol: HTTP requests at the edge", () => {
  let db: TestDatabase;
  let scheduler: TestScheduler;

  before(async () => {
    db = await createDatabase();
    scheduler = await startTestScheduler({ databaseUrl: db.url, env: { MUSTER_TOKEN: `${TOKEN}\n` } });
  });
  afterEach(() => {
    assert.ok(scheduler.program.alive, scheduler.program.tail());
    assert.deepEqual(
      scheduler.program.lines.filter(({ event }) => event === "rpc.failed"),
      [],
    );
  });
  after(async () => {
    await killAll();
    await db.drop();
  });

  it("T3: a Host without a name is 400, with a token and without", async () => {
    for (const version of ["1.0", "1.1"]) {
      for (const host of HOSTS) {
        for (const method of ["POST", "GET"]) {
          for (const authorization of ["", `authorization: Bearer ${TOKEN}`, "authorization: Bearer other"]) {
            const answer = await raw(
              `${method} ${CALL} HTTP/${version}`,
              `host: ${host}`,
              ...(authorization === "" ? [] : [authorization]),
            );
            assert.equal(
              answer.status,
              400,
              `HTTP/${version} ${method} ${JSON.stringify(host)}: ${answer.text}`,
            );
          }
        }
      }
      const none = await raw(`POST ${CALL} HTTP/${version}`);
      assert.equal(none.status, 400, none.text);
    }
    const named = await raw(`POST ${CALL} HTTP/1.1`, "host: [");
    assert.match(named.text, /the header Host: \\"\[\\" is not HOST or HOST:PORT/);
  });

  it("T3: a target that is no path is 400; what is after a ? is free", async () => {
    for (const target of TARGETS) {
      for (const method of ["GET", "POST", "OPTIONS"]) {
        const answer = await raw(`${method} ${target} HTTP/1.1`, "host: x");
        assert.equal(answer.status, 400, `${method} ${target}: ${answer.text}`);
      }
    }
    for (const target of ["/livez?//", "/livez?%", "/livez?a=[&b=http://["]) {
      assert.equal((await raw(`GET ${target} HTTP/1.1`, "host: x")).status, 200, target);
    }
    assert.equal((await raw("CONNECT x:1 HTTP/1.1", "host: x")).status, 400);
  });

  it("T3: probes of HTTP/1.0 without a Host are answered", async () => {
    for (const path of ["/livez", "/readyz", "/"])
      assert.equal((await raw(`GET ${path} HTTP/1.0`)).status, 200, path);
  });

  it("T37: a token that came with a line break is the token, on both sides", async () => {
    const client = new Client({ scheduler: scheduler.grpc, token: `${TOKEN}\r\n` });
    const { id } = await client.submit("unserved");
    client.close();
    const authorization = `Bearer ${TOKEN}`;
    const answer = await fetch(`${scheduler.http}${CALL}`, {
      method: "POST",
      headers: { authorization, "content-type": "application/json" },
      body: "{}",
    });
    assert.equal(Object(await answer.json()).tasks[0].id, id);
  });

  it("says what it is, where gRPC is and which paths there are, as text and as JSON", async () => {
    const text = await (await fetch(scheduler.http)).text();
    assert.match(text, /^This is the HTTP address of a Muster scheduler, version \d/);
    assert.ok(text.includes(`connect to ${scheduler.grpc}.`), text);
    for (const path of ["/livez", "/readyz", "/metrics", "/muster.v1.TaskService/METHOD"])
      assert.ok(text.includes(`\n  ${path}`), path);
    const asked = await fetch(scheduler.http, { headers: { accept: "application/json" } });
    const page = Object(await asked.json());
    assert.equal(asked.headers.get("content-type"), "application/json");
    assert.deepEqual([page.service, page.grpc], ["muster", scheduler.grpc]);
    const nothing = await fetch(`${scheduler.http}/nothing`);
    assert.equal(nothing.status, 404);
    assert.match(Object(await nothing.json()).error, /there is nothing at "\/nothing"; GET \/ lists/);
  });

  it("answers a call that is sent wrongly with a sentence", async () => {
    const url = `${scheduler.http}${CALL}`;
    const sentence = async (response: Response) => String(Object(await response.json()).error);
    for (const method of ["GET", "PUT", "DELETE", "OPTIONS"]) {
      const answer = await fetch(url, { method });
      assert.equal(answer.status, 405, method);
      assert.equal(answer.headers.get("allow"), "POST");
      assert.match(await sentence(answer), /ListTasks is a call: send it with POST and a JSON body/);
    }
    const untyped = await fetch(url, { method: "POST", body: "{}" });
    assert.equal(untyped.status, 415);
    assert.match(
      await sentence(untyped),
      /content-type is "text\/plain;charset=UTF-8"; send application\/json/,
    );
    const stream = await fetch(`${scheduler.http}/muster.v1.TaskService/SubmitStream`, {
      method: "POST",
      headers: { "content-type": "application/connect+json" },
    });
    assert.equal(stream.status, 501);
    assert.match(await sentence(stream), new RegExp(`by gRPC at ${scheduler.grpc}`));
    const headers = { authorization: `Bearer ${TOKEN}` };
    const byGet = await fetch(`${url}?connect=v1&encoding=json&message=%7B%7D`, { headers });
    assert.equal(byGet.status, 200, "calls that only read may come by GET, as Connect defines it");
    for (const [message, status] of [
      ["e30", 200],
      ["e30=", 200],
      ["%7B%7D", 400],
      ["e", 400],
      ["%00", 400],
      ["%F0%9F%98%80", 400],
    ] as const) {
      const answer = await fetch(`${url}?connect=v1&encoding=json&base64=1&message=${message}`, { headers });
      assert.equal(answer.status, status, message);
      if (status === 400) assert.match(await sentence(answer), /message is not base64/);
    }
  });

  /** Sends these lines and reads the answer. */
  async function raw(...lines: string[]): Promise<{ status: number; text: string }> {
    const { port } = new URL(scheduler.http);
    const socket = connect({ port: Number(port), host: "127.0.0.1" });
    socket.setTimeout(10_000, () => socket.destroy(new Error(`no answer to ${lines.join(" | ")}`)));
    const rest = ["content-type: application/json", "content-length: 2", "connection: close", "", "{}"];
    socket.write(Buffer.from([...lines, ...rest].join("\r\n"), "latin1"));
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]), text };
  }
});
