/** The HTTP of the dashboard: its files, who may call, the sign-in. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { buildDashboard } from "../../dashboard/build.ts";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler, type TestScheduler } from "../support/programs/scheduler.ts";

const TOKEN = "a-long-secret";

describe("the dashboard's address", () => {
  let db: TestDatabase;
  let open: TestScheduler;
  let locked: TestScheduler;
  let without: TestScheduler;

  before(async () => {
    await buildDashboard();
    db = await createDatabase();
    [open, locked, without] = await Promise.all([
      startTestScheduler({ databaseUrl: db.url }),
      startTestScheduler({
        databaseUrl: db.url,
        args: ["--dashboard", "read-only"],
        env: { MUSTER_TOKEN: TOKEN },
      }),
      startTestScheduler({
        databaseUrl: db.url,
        args: ["--dashboard", "off", "--dashboard-payloads", "never"],
      }),
    ]);
  });

  after(async () => {
    await killAll();
    await db.drop();
  });

  const call = (scheduler: TestScheduler, method: string, headers: Record<string, string> = {}) =>
    fetch(`${scheduler.http}/muster.v1.FleetService/${method}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: method === "PauseQueue" ? '{"queue":"q","reason":"test"}' : "{}",
    });

  it("answers browsers with the page, and programs with the list of paths", async () => {
    const page = await fetch(open.http, { headers: { accept: "text/html,*/*;q=0.8" } });
    assert.match(page.headers.get("content-type") ?? "", /^text\/html/);
    const text = await page.text();
    const json = await fetch(open.http, { headers: { accept: "application/json" } });
    assert.equal(((await json.json()) as { service: string }).service, "muster");
    assert.match(await (await fetch(open.http)).text(), /HTTP address of a Muster scheduler/);
    const script = /src="(assets\/[^"]+)"/.exec(text)?.[1] ?? "";
    for (const encoding of ["br", "gzip", "identity"]) {
      const asset = await fetch(`${open.http}/${script}`, { headers: { "accept-encoding": encoding } });
      assert.equal(asset.headers.get("content-encoding") ?? "identity", encoding);
      assert.match(asset.headers.get("cache-control") ?? "", /immutable/);
      assert.match(await asset.text(), /^import|^var|^const|^"use strict"|\{/);
    }
    const head = await fetch(`${open.http}/${script}`, { method: "HEAD" });
    assert.equal(await head.text(), "");
    assert.equal((await fetch(`${open.http}/assets/none.js`)).status, 404);
    assert.equal((await fetch(`${open.http}/assets/..%2fpackage.json`)).status, 404);
  });

  it("gives browsers no payloads where an operator wants that, by Connect, streams and plain HTTP", async () => {
    const secret = "do-not-show";
    const plain = `${without.http}/v1/tasks`;
    const made = await fetch(`${plain}/kept?queue=kept`, { method: "POST", body: JSON.stringify(secret) });
    const { taskId } = (await made.json()) as { taskId: string };
    const ask = async (headers: Record<string, string>) => {
      const got = await fetch(`${without.http}/muster.v1.TaskService/GetTask`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify({ taskId }),
      });
      return ((await got.json()) as { task: { payload?: string; omittedFields?: string[] } }).task;
    };
    const browser = { "sec-fetch-site": "same-origin" };
    const shown = Buffer.from(JSON.stringify(secret)).toString("base64");
    assert.deepEqual([(await ask({})).payload, (await ask(browser)).payload], [shown, undefined]);
    assert.deepEqual((await ask(browser)).omittedFields, ["payload"]);
    for (const path of [taskId, `${taskId}/payload`, `${taskId}/result`]) {
      const refused = await fetch(`${plain}/${path}`, { headers: browser });
      const text = await refused.text();
      assert.equal(refused.status, 403, path);
      assert.match(text, /PAYLOADS_NOT_SHOWN/);
    }
    assert.match(await (await fetch(`${plain}/${taskId}/payload`)).text(), /do-not-show/, "a program");
    const waits = { method: "POST", headers: browser, body: "1" };
    assert.equal((await fetch(`${plain}/kept?wait=1s`, waits)).status, 403);
    assert.equal((await fetch(`${plain}/kept?queue=kept`, waits)).status, 201);
    // The first message of a stream of changes, with its envelope of five bytes.
    const message = Buffer.from(JSON.stringify({ taskId }));
    const envelope = Buffer.from([0, 0, 0, 0, message.length]);
    const over = new AbortController();
    const stream = await fetch(`${without.http}/muster.v1.TaskService/WatchTask`, {
      method: "POST",
      headers: { "content-type": "application/connect+json", ...browser },
      body: Buffer.concat([envelope, message]),
      signal: over.signal,
    });
    const first = await stream.body?.getReader().read();
    over.abort();
    const text = Buffer.from(first?.value ?? []).toString();
    assert.match(text, new RegExp(taskId));
    assert.doesNotMatch(text, new RegExp(shown));
  });

  it("is protected by headers", async () => {
    const { headers } = await fetch(open.http, { headers: { accept: "text/html" } });
    const policy = headers.get("content-security-policy") ?? "";
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe|\*|https?:/);
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    assert.equal(headers.get("cache-control"), "no-cache");
    assert.equal(headers.get("access-control-allow-origin"), null);
  });

  it("refuses calls of other sites, by Connect and by plain HTTP", async () => {
    for (const from of [{ origin: "https://evil.example" }, { "sec-fetch-site": "cross-site" }] as Record<
      string,
      string
    >[]) {
      for (const method of ["PauseQueue", "ListQueues"]) {
        const refused = await call(open, method, from);
        assert.deepEqual(
          [refused.status, ((await refused.json()) as { code: string }).code],
          [403, "permission_denied"],
        );
      }
      const submit = await fetch(`${open.http}/v1/tasks/echo`, { method: "POST", headers: from });
      assert.deepEqual(
        [submit.status, ((await submit.json()) as { code: string }).code],
        [403, "CROSS_ORIGIN"],
      );
      const session = await fetch(`${open.http}/session`, { method: "POST", headers: from, body: "{}" });
      assert.equal(session.status, 403);
    }
    assert.equal((await call(open, "PauseQueue", { origin: open.http })).status, 200);
    assert.equal((await call(open, "ListQueues", { "sec-fetch-site": "same-origin" })).status, 200);
  });

  it("signs in with the token, for a session that reads", async () => {
    const state = async (headers: Record<string, string> = {}) =>
      (await (await fetch(`${locked.http}/session`, { headers })).json()) as {
        signIn: string;
        readOnly: boolean;
      };
    assert.deepEqual([(await state()).signIn, (await state()).readOnly], ["required", true]);
    assert.equal((await call(locked, "ListQueues")).status, 401);
    const signIn = (token: string, headers: Record<string, string> = {}) =>
      fetch(`${locked.http}/session`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify({ token }),
      });
    const wrong = await signIn("wrong");
    assert.deepEqual([wrong.status, wrong.headers.get("set-cookie")], [401, null]);
    const right = await signIn(TOKEN);
    const header = right.headers.get("set-cookie") ?? "";
    assert.match(header, /HttpOnly; SameSite=Strict$/);
    assert.match(
      (await signIn(TOKEN, { origin: "https://proxy", "sec-fetch-site": "same-origin" })).headers.get(
        "set-cookie",
      ) ?? "",
      /; Secure$/,
    );
    const [cookie = ""] = header.split(";");
    assert.equal((await state({ cookie })).signIn, "done");
    assert.equal((await call(locked, "ListQueues", { cookie })).status, 200);
    assert.equal((await fetch(`${locked.http}/v1/openapi.json`, { headers: { cookie } })).status, 200);
    const change = await call(locked, "PauseQueue", { cookie });
    assert.equal(change.status, 403);
    assert.match(((await change.json()) as { message: string }).message, /read-only/);
    assert.equal(
      (await call(locked, "PauseQueue", { authorization: `Bearer ${TOKEN}` })).status,
      200,
      "a program may",
    );
    const out = await fetch(`${locked.http}/session`, { method: "DELETE", headers: { cookie } });
    assert.match(out.headers.get("set-cookie") ?? "", /Max-Age=0/);
    for (const body of ["", "{}", '{"token":1}', "[", `{"token":"${"x".repeat(20_000)}"}`]) {
      const bad = await fetch(`${locked.http}/session`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
      });
      assert.ok(bad.status >= 400 && bad.status < 500, `${bad.status} for ${body.slice(0, 20)}`);
    }
    assert.equal((await fetch(`${locked.http}/session`, { method: "PUT" })).status, 405);
  });

  it("can be switched off", async () => {
    const page = await fetch(without.http, { headers: { accept: "text/html" } });
    assert.match(page.headers.get("content-type") ?? "", /^text\/plain/);
    assert.equal((await fetch(`${without.http}/session`)).status, 404);
  });
});
