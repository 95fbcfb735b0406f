import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import {
  type ClientRequest,
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
} from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { TaskSchema, TaskState } from "@muster/protocol";
import { DatabaseUnavailableError } from "../../domain/errors.ts";
import type { TaskRecord } from "../../domain/tasks/task.ts";
import { madeTask } from "../../domain/testing/made-records.ts";
import { Auth } from "../../rpc/server/auth.ts";
import { Calls } from "../../rpc/server/calls.ts";
import { silentLogger } from "../../telemetry/logs/logger.ts";
import { Counters } from "../../telemetry/metrics/counters.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { Callers } from "../callers.ts";
import { type PlainTasksParts, plainTasks } from "./plain-tasks.ts";
import { taskJson } from "./task-json.ts";

describe("plain HTTP", () => {
  it("answers 503 with the time to wait while the database is away, and 500 without the cause for its own fault", async () => {
    const away = new DatabaseUnavailableError("the database does not answer", false, undefined);
    const { call, logged } = serving({
      task: {
        submitTasks: () => Promise.reject(away),
        getTask: () => Promise.reject(new TypeError("a secret of the code")),
        cancelTask: () => Promise.reject(away),
      },
      run: () => Promise.reject(away),
    });
    for (const [method, path] of [
      ["POST", "/v1/tasks/greet"],
      ["POST", "/v1/tasks/t-1/cancel"],
      ["GET", "/v1/tasks/t-1/result"],
      ["GET", "/v1/tasks/t-1/payload"],
    ] as const) {
      const { status, headers, json } = await call(method, path);
      assert.deepEqual([status, headers["retry-after"], json.code], [503, "1", "DATABASE_UNAVAILABLE"], path);
    }
    assert.deepEqual(logged, []);
    const fault = await call("GET", "/v1/tasks/t-1");
    assert.deepEqual(
      [fault.status, fault.json],
      [500, { code: "INTERNAL", message: "internal error; the scheduler's log has the cause" }],
    );
    assert.deepEqual(logged, ["rpc.failed"]);
  });

  it("answers an accepted submit with 202 when the wait fails: a second request would make another task", async () => {
    const away = new DatabaseUnavailableError("the database went away", true, undefined);
    const { call } = serving({ run: () => Promise.reject(away) });
    const { status, json } = await call("POST", "/v1/tasks/greet?wait=30s");
    assert.deepEqual([status, json], [202, { taskId: "t-7" }]);
  });

  it("ends the wait of a caller that goes away, and the timer with it", async () => {
    const { begin, timers, followed } = serving({});
    const waiting = await begin("GET", "/v1/tasks/t-7/result?wait=10m");
    await followed.next();
    assert.equal(timers.size, 1);
    waiting.on("error", () => undefined);
    waiting.destroy();
    await followed.end();
    assert.equal(timers.size, 0);
  });

  it("ends a wait at its time and at the scheduler's stop, with the state of the task", async () => {
    const { call, clock, timers, followed, stop } = serving({});
    const late = call("GET", "/v1/tasks/t-7/result?wait=10m");
    await followed.next();
    await clock.pass(600_000);
    assert.deepEqual((await late).json, { taskId: "t-7", state: "running" });
    const stopped = call("POST", "/v1/tasks/greet?wait=10m");
    await followed.next();
    stop();
    const { status, json } = await stopped;
    assert.deepEqual([status, json], [202, { taskId: "t-7", state: "running" }]);
    assert.equal(timers.size, 0);
  });

  it("sends a result whose media type is none as bytes, and nothing that splits a header", async () => {
    for (const [type, sent] of [
      ["text/html", "text/html"],
      ["image/svg+xml; charset=utf-8", "image/svg+xml; charset=utf-8"],
      ["", "application/octet-stream"],
      ["text/html\r\nset-cookie: a=b", "application/octet-stream"],
      ["text/plain; x=\u{1F600}", "application/octet-stream"],
      [`text/plain; ${"a=b; ".repeat(50)}`, "application/octet-stream"],
    ] as const) {
      const { call } = serving(
        {},
        { state: "succeeded", output: Buffer.from("<p>"), outputContentType: type },
      );
      const { status, headers, text } = await call("GET", "/v1/tasks/t-7/result");
      assert.deepEqual([status, headers["content-type"], text], [200, sent, "<p>"], type);
      assert.equal(headers["set-cookie"], undefined);
    }
  });

  it("shows content that is not what its media type says as text, or by its size", () => {
    const shown = (payload: Uint8Array, contentType: string) => {
      const payloadBytes = BigInt(payload.byteLength);
      const task = create(TaskSchema, {
        id: "t-1",
        state: TaskState.QUEUED,
        payload,
        contentType,
        payloadBytes,
      });
      const { href: _, ...rest } = JSON.parse(taskJson(task)).payload;
      return rest;
    };
    const json = "application/json";
    assert.deepEqual(shown(Buffer.from("[1,"), json), { contentType: json, bytes: 3, text: "[1," });
    assert.deepEqual(shown(Buffer.from([0xff]), json), { contentType: json, bytes: 1 });
    assert.deepEqual(shown(Buffer.from('"$&"'), "application/ld+json"), {
      contentType: "application/ld+json",
      bytes: 4,
      json: "$&",
    });
    for (const charset of ["utf-8", '"UTF8"', "us-ascii"])
      assert.equal(shown(Buffer.from("A"), `text/plain; charset=${charset}`).text, "A", charset);
    assert.equal(shown(Buffer.from("A"), "text/plain; charset=utf-16").text, undefined);
  });
});

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly json: Readonly<Record<string, unknown>>;
}

/** A server whose handlers and store are the test's; its only task is `t-7`, which runs unless the test says otherwise. */
function serving(parts: Partial<PlainTasksParts>, task: Partial<TaskRecord> = {}) {
  const clock = new ManualClock();
  const timers = new Set<() => void>();
  const stopping = new AbortController();
  const logged: string[] = [];
  const record = { ...madeTask({ createTime: new Date(0) }), state: "running" as const, ...task };
  const followed = new Followed();
  const calls = new Calls({ ...silentLogger, error: (event) => logged.push(event) }, new Counters());
  const serve = plainTasks({
    callers: new Callers({
      auth: new Auth(undefined),
      sessions: undefined,
      readOnly: false,
      withoutPayloads: false,
    }),
    calls,
    task: {
      submitTasks: async () => ({ tasks: [{ taskId: "t-7" }] }),
      getTask: async () => ({}),
      cancelTask: async () => ({}),
    },
    maxPayloadBytes: 1_000,
    store: {
      followedTask: async () => ({ task: record, version: "1" }),
      getTask: async () => record,
    },
    followers: followed.followers,
    clock: {
      after: (ms, fn) => {
        timers.add(fn);
        const cancel = clock.after(ms, fn);
        return () => {
          timers.delete(fn);
          cancel();
        };
      },
    },
    stopping: stopping.signal,
    run: (work) => work(),
    ...parts,
  });
  const begin = async (method: string, path: string): Promise<ClientRequest> => {
    const server = createServer((request, response) => serve(path.split("?")[0] ?? "", request, response));
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    const sent = request({ method, path, port, host: "127.0.0.1", agent: false });
    sent.once("close", () => server.close());
    return sent.end();
  };
  const call = async (method: string, path: string): Promise<Answer> => {
    const [response] = (await once(await begin(method, path), "response")) as [IncomingMessage];
    const text = (await response.toArray()).join("");
    const { statusCode: status = 0, headers } = response;
    const isJson = headers["content-type"] === "application/json";
    return { status, headers, text, json: isJson ? JSON.parse(text) : {} };
  };
  return { begin, call, clock, followed, logged, stop: () => stopping.abort(), timers };
}

/** Followers of tasks, and signals of their begin and end. */
class Followed {
  readonly #events = new EventEmitter();
  #open = 0;
  #begun = once(this.#events, "open");

  readonly followers: PlainTasksParts["followers"] = {
    open: () => {
      this.#open++;
      return {
        saw: () => undefined,
        changed: async (signal) => {
          this.#events.emit("open");
          if (!signal.aborted) await once(signal, "abort");
        },
        close: () => {
          this.#open--;
          this.#events.emit("close");
        },
      };
    },
  };

  /** The next wait for a change has begun. */
  async next(): Promise<void> {
    await this.#begun;
    this.#begun = once(this.#events, "open");
  }

  /** No caller follows any more. */
  async end(): Promise<void> {
    while (this.#open > 0) await once(this.#events, "close");
  }
}
