import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { after, before, describe, it } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { PARAMETERS } from "../../scheduler/src/http/tasks/query.ts";
import { Fleet } from "../support/fleet/fleet.ts";
import { Description } from "../support/http/described.ts";
import { killAll } from "../support/programs/program.ts";
import { until } from "../support/waits.ts";

const TOKEN = "a-token";
const JSON_TYPE = { "content-type": "application/json" };

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  readonly text: string;
  /** The body, parsed. */
  readonly json: Readonly<Record<string, unknown>>;
}

describe("protocol: tasks by plain HTTP", () => {
  let fleet: Fleet;
  let description: Description;

  before(async () => {
    description = await Description.read();
    fleet = await Fleet.start({ token: TOKEN, args: ["--max-payload", "2000"] });
    await fleet.worker("plain", { slots: 4 });
  });
  after(async () => {
    assert.deepEqual(
      fleet.scheduler.program.lines.filter(({ event }) => event === "rpc.failed"),
      [],
    );
    await killAll();
    await fleet.stop();
  });

  /** Calls with the token; every answer is compared with the description. */
  async function call(
    method: string,
    target: string,
    options: { body?: string | Uint8Array; headers?: Record<string, string>; signal?: AbortSignal } = {},
  ): Promise<Answer> {
    const url = new URL(target, fleet.scheduler.http);
    const response = await fetch(url, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, ...options.headers },
      ...(options.body === undefined ? {} : { body: options.body }),
      ...(options.signal ? { signal: options.signal } : {}),
    });
    const bytes = Buffer.from(await response.arrayBuffer());
    description.check(method, url.pathname, response.status, response.headers, bytes);
    const isJson = response.headers.get("content-type") === "application/json" && bytes.length > 0;
    const text = bytes.toString();
    return {
      status: response.status,
      headers: response.headers,
      bytes,
      text,
      json: isJson ? JSON.parse(text) : {},
    };
  }

  const submit = (type: string, query: string, body: string, headers: Record<string, string> = JSON_TYPE) =>
    call("POST", `/v1/tasks/${encodeURIComponent(type)}${query}`, { body, headers });

  it("serves a valid description, with the parameters that the server takes", async () => {
    const served = await call("GET", "/v1/openapi.json");
    assert.deepEqual(served.json, description.document);
    const result = await new Validator().validate({ ...served.json });
    assert.ok(result.valid, JSON.stringify(result.errors));
    const described = description.parameters();
    for (const [operation, kind] of [
      ["POST /v1/tasks/{task}", "submit"],
      ["GET /v1/tasks/{task}", "read"],
      ["GET /v1/tasks/{task}/result", "result"],
      ["GET /v1/tasks/{task}/payload", "payload"],
      ["POST /v1/tasks/{task}/cancel", "cancel"],
      ["GET /v1/openapi.json", "description"],
    ] as const)
      assert.deepEqual(described.get(operation), PARAMETERS[kind], operation);
  });

  it("takes a raw body, answers the id, and with wait the raw result", async () => {
    const submitted = await submit("echo", "", '{"name": "Ada"}');
    assert.equal(submitted.status, 201);
    const { taskId } = submitted.json;
    assert.deepEqual(submitted.json, { taskId });
    assert.equal(submitted.headers.get("location"), `/v1/tasks/${taskId}`);
    const result = await call("GET", `/v1/tasks/${taskId}/result?wait=30s`);
    assert.deepEqual(
      [result.status, result.headers.get("content-type"), result.text],
      [200, "application/json", '{"name":"Ada"}'],
    );
    const waited = await submit("echo", "?wait=30s", "\ufeff[1, 2]");
    assert.deepEqual([waited.status, waited.text], [200, "[1,2]"]);
    assert.match(waited.headers.get("muster-task-id") ?? "", /^t-\d+$/);
    const bytes = await submit("big", "?wait=30s", '{"bytes": 3}');
    assert.equal(bytes.headers.get("content-type"), "application/octet-stream");
    assert.deepEqual([...bytes.bytes], [0, 0, 0]);
    const nothing = await call("POST", "/v1/tasks/echo?wait=30s");
    assert.equal(nothing.text, "null");
  });

  it("shows a task as JSON: JSON and text as they are, bytes by their size and address", async () => {
    const json = await submit(
      "echo",
      "?wait=30s&tag=a&tag=b&priority=-7&unique-key=k%C3%B6y&max-retries=5",
      '{"n": 12345678901234567890, "e": ""}',
    );
    const id = json.headers.get("muster-task-id");
    const task = await call("GET", `/v1/tasks/${id}`);
    assert.match(task.text, /"json":\{"n": 12345678901234567890, "e": ""\}/, "no digit is lost");
    const { payload, result, ...shown } = task.json;
    assert.equal(shown.state, "succeeded");
    assert.deepEqual([shown.priority, shown.tags, shown.uniqueKey], [-7, ["a", "b"], "köy"]);
    assert.equal(Object(shown.retryPolicy).maxRetryCount, 5);
    assert.match(String(shown.createTime), /^\d{4}-\d\d-\d\dT.*Z$/);
    assert.deepEqual(Object(result).href, `/v1/tasks/${id}/result`);
    assert.ok(!("failure" in shown) && !("phase" in shown), "empty members are left out");

    const text = await submit("unserved", "", "Grüße", { "content-type": "text/plain; charset=utf-8" });
    const read = await call("GET", `/v1/tasks/${text.json.taskId}`);
    assert.deepEqual(read.json.payload, {
      contentType: "text/plain; charset=utf-8",
      bytes: 7,
      text: "Grüße",
      href: `/v1/tasks/${text.json.taskId}/payload`,
    });
    assert.deepEqual([read.json.state, read.json.detail, read.json.attempts], ["queued", "ready", undefined]);
    const image = Buffer.from([0x89, 0x50, 0xff, 0x00]);
    const binary = await call("POST", "/v1/tasks/unserved", {
      body: image,
      headers: { "content-type": "image/png" },
    });
    const described = await call("GET", `/v1/tasks/${binary.json.taskId}`);
    assert.deepEqual(described.json.payload, {
      contentType: "image/png",
      bytes: 4,
      href: `/v1/tasks/${binary.json.taskId}/payload`,
    });
    const raw = await call("GET", `/v1/tasks/${binary.json.taskId}/payload`);
    assert.deepEqual([raw.headers.get("content-type"), [...raw.bytes]], ["image/png", [...image]]);
    assert.equal(raw.headers.get("x-content-type-options"), "nosniff");
    assert.equal(raw.headers.get("content-security-policy"), "sandbox; default-src 'none'");
    const head = await call("HEAD", `/v1/tasks/${binary.json.taskId}/payload`);
    assert.deepEqual([head.status, head.bytes.length], [200, 0]);
  });

  it("says why a task failed or was cancelled, with its id", async () => {
    const failed = await submit("refuse", "?wait=30s", "{}");
    const { taskId } = failed.json;
    assert.equal(failed.status, 500);
    assert.deepEqual(failed.json, {
      code: "NEVER",
      message: "it will never work",
      taskId,
      state: "failed",
      detail: "NEVER",
    });
    const late = await submit("unserved", "?wait=30s&queue-timeout=1ms", "{}");
    assert.deepEqual([late.status, late.json.code], [504, "DEADLINE_BEFORE_START"]);
    const bytes = Buffer.from([0xff]);
    const given = {
      contentType: "application/json",
      unique: { key: "not-utf8", while: "recorded" as const },
    };
    await fleet.client.submit("echo", bytes, given);
    const invalid = await submit("echo", "?wait=30s&unique-key=not-utf8", "{}");
    assert.deepEqual([invalid.status, invalid.json.code], [422, "INVALID_PAYLOAD"]);
    assert.equal((await call("GET", `/v1/tasks/${invalid.json.taskId}/result`)).status, 422);
    assert.equal((await call("GET", `/v1/tasks/${late.json.taskId}/result`)).status, 504);
    assert.equal((await call("GET", `/v1/tasks/${taskId}/result`)).status, 500);
    const open = await submit("unserved", "?wait=0s", "{}");
    assert.deepEqual([open.status, open.json.state], [202, "queued"]);
    assert.equal(open.headers.get("location"), `/v1/tasks/${open.json.taskId}/result`);
    assert.equal((await call("GET", `/v1/tasks/${open.json.taskId}/result`)).status, 202);
    const waiting = call("GET", `/v1/tasks/${open.json.taskId}/result?wait=30s`);
    const cancelled = await call("POST", `/v1/tasks/${open.json.taskId}/cancel?reason=no%20longer%20needed`);
    assert.deepEqual(cancelled.json, { taskId: open.json.taskId, state: "cancelled", detail: "cancelled" });
    const { status, json } = await waiting;
    assert.deepEqual([status, json.code, json.taskId], [409, "TASK_CANCELLED", open.json.taskId]);
    assert.match(String(json.message), /no longer needed/);
    const again = await call("POST", `/v1/tasks/${open.json.taskId}/cancel`);
    assert.deepEqual([again.status, again.json.code], [409, "TASK_ALREADY_ENDED"]);
  });

  it("answers with the holder of a unique key, or refuses", async () => {
    const first = await submit("unserved", "?unique-key=once", "{}");
    const second = await submit("unserved", "?unique-key=once", "{}");
    assert.equal(second.status, 200);
    assert.deepEqual(second.json, { taskId: first.json.taskId, duplicate: true, state: "queued" });
    const refused = await submit("unserved", "?unique-key=once&on-conflict=refuse", "{}");
    assert.deepEqual([refused.status, refused.json.code], [409, "UNIQUE_KEY_HELD"]);
    await fleet.client.fleet.limitQueue({ queue: "small", maxWaitingCount: 1n });
    await submit("unserved", "?queue=small", "{}");
    const full = await submit("unserved", "?queue=small", "{}");
    assert.deepEqual([full.status, full.json.code], [429, "QUEUE_FULL"]);
    assert.equal(full.headers.get("retry-after"), "1");
  });

  it("answers what it cannot take with the value, what is allowed, and a status", async () => {
    const cases: readonly (readonly [
      method: string,
      target: string,
      status: number,
      message: RegExp,
      options?: { body?: string; headers?: Record<string, string> },
    ])[] = [
      [
        "POST",
        "/v1/tasks/echo?priority=high",
        400,
        /^the parameter priority is "high"; send a whole number$/,
      ],
      ["POST", "/v1/tasks/echo?priority=5000", 400, /^priority 5000 is not between -1000 and 1000$/],
      ["POST", "/v1/tasks/echo?delay=30", 400, /^the parameter delay is "30"; send a duration with its unit/],
      ["POST", "/v1/tasks/echo?run-timeout=0s", 400, /^run-timeout must be more than zero/],
      ["POST", "/v1/tasks/echo?wait=2h", 400, /^the parameter wait is "2h"; at most 10m are allowed/],
      [
        "POST",
        "/v1/tasks/echo?prioritty=1",
        400,
        /^there is no parameter "prioritty"; did you mean priority\?$/,
      ],
      ["POST", "/v1/tasks/echo?queue=a&queue=b", 400, /^the parameter queue is there twice$/],
      ["POST", "/v1/tasks/echo?unique-key=a%00b", 400, /^unique-key holds a NUL character/],
      ["POST", `/v1/tasks/echo?unique-key=${"k".repeat(513)}`, 400, /^unique-key has 513 bytes; at most 512/],
      [
        "POST",
        `/v1/tasks/echo?queue=${"q".repeat(9_000)}`,
        400,
        /^the query has 9006 characters; at most 8192/,
      ],
      [
        "POST",
        "/v1/tasks/echo?on-conflict=maybe",
        400,
        /^the parameter on-conflict is "maybe"; send return, replace, refuse$/,
      ],
      ["POST", "/v1/tasks/a%20b", 400, /^the task type "a b" must start with a letter or digit/],
      ["POST", "/v1/tasks/%ff", 400, /"%ff" is not percent-encoded UTF-8/],
      ["POST", "/v1/tasks/ocr/page", 404, /there is nothing at "\/v1\/tasks\/ocr\/page"; .*%2F/],
      ["POST", "/v1/tasks/", 404, /there is nothing/],
      ["GET", "/v1/", 404, /there is nothing/],
      ["DELETE", "/v1/tasks/t-1", 405, /^the method "DELETE" is not served here; send GET or POST$/],
      ["POST", "/v1/tasks/t-1/result", 405, /send GET$/],
      ["GET", "/v1/tasks/t-0", 404, /t-0/],
      ["GET", "/v1/tasks/nonsense/result", 404, /nonsense/],
      ["GET", "/v1/tasks/t-999999999/result?wait=1s", 404, /t-999999999/],
      ["GET", "/v1/tasks/t-999999999/payload", 404, /t-999999999/],
      ["POST", "/v1/tasks/t-999999999/cancel", 404, /t-999999999/],
      ["GET", "/v1/tasks/t-1?wait=1s", 400, /^there is no parameter "wait"; there are none here$/],
      ["GET", "/v1/tasks/t-1/payload?x=1", 400, /^there is no parameter "x"/],
      ["GET", "/v1/openapi.json?x=1", 400, /^there is no parameter "x"/],
      ["GET", "/v1/tasks/t-1/result?wait=x", 400, /^the parameter wait is "x"/],
      ["POST", "/v1/tasks/t-1/cancel?why=x", 400, /^there is no parameter "why"; there are reason$/],
      [
        "POST",
        "/v1/tasks/echo",
        400,
        /^the content-type says JSON and the body does not parse: /,
        { body: "{'a': 1}", headers: JSON_TYPE },
      ],
      [
        "POST",
        "/v1/tasks/echo",
        415,
        /^the body looks like JSON .* curl -d sends by itself/,
        { body: '{"a": 1}', headers: { "content-type": "application/x-www-form-urlencoded" } },
      ],
      [
        "POST",
        "/v1/tasks/echo",
        415,
        /^the header content-type is "nonsense"; send a media type/,
        { body: "x", headers: { "content-type": "nonsense" } },
      ],
      [
        "POST",
        "/v1/tasks/echo",
        415,
        /^the header content-encoding is "gzip"; send the body as it is$/,
        { body: "x", headers: { ...JSON_TYPE, "content-encoding": "gzip" } },
      ],
      [
        "POST",
        "/v1/tasks/echo",
        413,
        /^the body has 2002 bytes; at most 2000 are allowed/,
        { body: `"${"x".repeat(2_000)}"`, headers: JSON_TYPE },
      ],
    ];
    for (const [method, target, status, message, options] of cases) {
      const answer = await call(method, target, options);
      assert.equal(answer.status, status, `${method} ${target}: ${answer.text}`);
      assert.match(String(answer.json.message), message, `${method} ${target}`);
    }
    const { tasks } = await fleet.client.tasks.listTasks({ taskType: "echo", states: [1, 2, 3] });
    assert.deepEqual(
      tasks.map(({ id }) => id),
      [],
      "nothing of it was submitted",
    );
    const form = await submit("unserved", "", "a=1&b=%7B", {
      "content-type": "application/x-www-form-urlencoded",
    });
    assert.equal(form.status, 201, "a form is a payload like any other");
  });

  it("asks every resource for the token, and refuses pages of other origins", async () => {
    const targets = [
      ["POST", "/v1/tasks/echo"],
      ["GET", "/v1/tasks/t-1"],
      ["GET", "/v1/tasks/t-1/result"],
      ["GET", "/v1/tasks/t-1/payload"],
      ["POST", "/v1/tasks/t-1/cancel"],
      ["GET", "/v1/openapi.json"],
    ] as const;
    for (const [method, target] of targets) {
      for (const authorization of ["", "Bearer other", "Basic eDp5"]) {
        const refused = await call(method, target, { headers: { authorization } });
        assert.deepEqual([refused.status, refused.json.code], [401, "INVALID_TOKEN"], `${method} ${target}`);
        assert.equal(refused.headers.get("www-authenticate"), 'Bearer realm="muster"');
      }
      for (const origin of ["http://evil.example", "null", "http://"]) {
        const foreign = await call(method, target, { headers: { origin } });
        assert.deepEqual([foreign.status, foreign.json.code], [403, "CROSS_ORIGIN"], `${method} ${target}`);
      }
    }
    const own = await call("GET", "/v1/openapi.json", { headers: { origin: fleet.scheduler.http } });
    assert.equal(own.status, 200);
    const preflight = await call("OPTIONS", "/v1/tasks/echo");
    assert.equal(preflight.status, 405);
    assert.equal(preflight.headers.get("access-control-allow-origin"), null);
  });

  it("bounds a body without a length, and answers before its end", async () => {
    const { hostname, port } = new URL(fleet.scheduler.http);
    const sending = request({
      ...{ hostname, port, path: "/v1/tasks/echo", method: "POST" },
      headers: { authorization: `Bearer ${TOKEN}`, ...JSON_TYPE },
    });
    sending.write('"');
    sending.write("x".repeat(2_000));
    const [response] = await once(sending, "response");
    assert.equal(response.statusCode, 413);
    sending.destroy();
  });

  it("a described answer that was not given here is one of the scheduler's own faults", () => {
    const faults = description.unseen().filter((each) => !/ (?:500|503)$/.test(each));
    assert.deepEqual(faults, []);
  });

  it("T63: answers those who wait when it stops", async () => {
    const waiting = [1, 2].map(() => submit("never.served", "?wait=60s", "{}"));
    const accepted = await until("both tasks are accepted", async () => {
      const { tasks } = await fleet.client.tasks.listTasks({ taskType: "never.served" });
      return tasks.length === 2 ? tasks.map(({ id }) => id) : undefined;
    });
    fleet.client.close();
    const ended = fleet.scheduler.program.end();
    const answers = await Promise.all(waiting);
    assert.deepEqual(
      answers.map(({ status, json }) => [status, json.state]),
      [
        [202, "queued"],
        [202, "queued"],
      ],
    );
    assert.deepEqual(answers.map(({ json }) => json.taskId).sort(), accepted.sort());
    assert.deepEqual(await ended, { code: 0, signal: null });
  });
});
