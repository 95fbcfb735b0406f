/** Sends hostile values in each field of each call. */
import { connect } from "node:net";
import { create, type DescMethod, toBinary, toJson } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { SubmitStreamRequestSchema, WorkerMessageSchema } from "@muster/protocol";
import { RawCaller } from "../support/peers/raw-call.ts";
import { RawSubmits } from "../support/peers/raw-submits.ts";
import { RawWorker } from "../support/peers/raw-worker.ts";
import type { TestScheduler } from "../support/programs/scheduler.ts";
import type { Random } from "../support/random.ts";
import { CALLS, type Leaf, lawful, leaves } from "./leaves.ts";

/** How one call, stream or request was answered; `unanswered` when it was not. */
export interface FieldAnswer {
  readonly what: string;
  readonly code: status;
  readonly details: string;
  readonly unanswered?: boolean;
}

/** A call is answered within this, also while everything else attacks. */
const ANSWER_MS = 15_000;

/** Characters of one, two, three and four bytes, halves of one, and what terminals and headers stumble over. */
const UNITS = [
  "x",
  "\u00e9",
  "\u6f22",
  "\u{1F600}",
  "\ud83d",
  "\ude00",
  "\0",
  "\r\n",
  "\u001b[2J",
  "%",
  "\u202e",
];

const found = ({ kind }: Leaf) => kind !== "other";
const FIELDS = CALLS.flatMap((method) =>
  leaves(method.input)
    .filter(found)
    .map((leaf) => ({ method, leaf })),
);
const SUBMIT_FIELDS = leaves(SubmitStreamRequestSchema)
  .filter(({ path }) => path !== "request_id")
  .filter(found);
const WORKER_FIELDS = leaves(WorkerMessageSchema).filter(found);

/** Any field of any call, by gRPC. */
export async function fieldOfCall(random: Random, target: TestScheduler): Promise<FieldAnswer[]> {
  const caller = new RawCaller(target.grpc);
  const answers: FieldAnswer[] = [];
  for (let n = 0; n < 20; n++) {
    const { method, leaf } = random.pick(FIELDS) ?? fail();
    const request = toBinary(
      method.input,
      create(method.input, leaf.at(lawful(method.input), value(leaf, random))),
    );
    const what = `gRPC ${method.name}`;
    if (method.methodKind === "unary") {
      const { code, details } = await caller.bytes(method, request, ANSWER_MS);
      answers.push({
        what,
        code,
        details: `${leaf.path}: ${details}`,
        unanswered: code === status.DEADLINE_EXCEEDED,
      });
    } else {
      const code = await caller.stream(method, request, 1, ANSWER_MS);
      answers.push({ what, code, details: leaf.path, unanswered: code === status.DEADLINE_EXCEEDED });
    }
  }
  caller.close();
  return answers;
}

/** Any field of any call, by Connect, with halves of characters, which only JSON can carry. */
export async function fieldByHttp(random: Random, target: TestScheduler): Promise<FieldAnswer[]> {
  const answers: FieldAnswer[] = [];
  for (let n = 0; n < 20; n++) {
    const { method, leaf } = random.pick(FIELDS) ?? fail();
    if (method.methodKind !== "unary" || method.parent.name === "WorkerService") continue;
    answers.push(await byHttp(target, method, leaf, value(leaf, random)));
  }
  return answers;
}

async function byHttp(
  target: TestScheduler,
  method: DescMethod,
  leaf: Leaf,
  put: unknown,
): Promise<FieldAnswer> {
  const what = `HTTP ${method.name}`;
  let body: string;
  try {
    body = JSON.stringify(toJson(method.input, create(method.input, leaf.at(lawful(method.input), put))));
  } catch {
    // Some moments have no JSON form; they are sent as one that looks like it.
    body = JSON.stringify({
      timeout: "1e400s",
      afterEventId: "1e400",
      tasks: [{ taskType: "echo", runTime: "12000" }],
    });
  }
  try {
    const answer = await fetch(`${target.http}/${method.parent.typeName}/${method.name}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    return {
      what,
      code: codeOf(answer.status),
      details: `${leaf.path}: ${answer.status} ${await answer.text()}`,
    };
  } catch (error) {
    return { what, code: status.UNAVAILABLE, details: `${leaf.path}: ${error}`, unanswered: true };
  }
}

/** Any field of a request on a submit stream. */
export async function fieldOfSubmit(random: Random, target: TestScheduler): Promise<FieldAnswer[]> {
  const stream = new RawSubmits(target.grpc);
  const count = random.int(5, 40);
  for (let n = 1; n <= count; n++) {
    const leaf = random.pick(SUBMIT_FIELDS) ?? fail();
    const init = leaf.at(lawful(SubmitStreamRequestSchema), value(leaf, random));
    stream.send({ ...init, requestId: BigInt(n) });
  }
  stream.end();
  const end = await Promise.race([stream.ended, late()]);
  if (!end) stream.cut();
  const answers = stream.answers.map(({ outcome }) => ({
    what: "gRPC SubmitStream",
    code: outcome.case === "refused" ? outcome.value.code : status.OK,
    details: outcome.case === "refused" ? outcome.value.message : "",
  }));
  const missing = count - answers.length;
  if (missing === 0 && end) return answers;
  const details = `${missing} of ${count} requests; the stream ended with ${end ? `${end.code} ${end.details}` : "nothing"}`;
  return [...answers, { what: "gRPC SubmitStream", code: status.UNKNOWN, details, unanswered: true }];
}

/** Any field of a worker's message, in its hello or after it. */
export async function fieldOfWorker(random: Random, target: TestScheduler): Promise<FieldAnswer[]> {
  const leaf = random.pick(WORKER_FIELDS) ?? fail();
  const worker = new RawWorker(target.grpc);
  const { workerId, sessionId } = worker;
  const hello = { protocolVersion: 1, workerId, sessionId, slotCount: 1, taskTypes: [{ taskType: "none" }] };
  if (!leaf.path.startsWith("hello.")) worker.hello();
  for (let n = 0; n < 5; n++) {
    const init = leaf.at({ hello }, value(leaf, random));
    worker.sendBytes(toBinary(WorkerMessageSchema, create(WorkerMessageSchema, init)));
  }
  const beaten = worker.beat();
  const acknowledged = worker
    .next("heartbeatAck", ({ sequence }) => sequence === beaten)
    .catch(() => worker.ended);
  const first = await Promise.race([worker.ended, acknowledged, late()]);
  worker.cut();
  const what = "gRPC Connect";
  if (!first) return [{ what, code: status.UNKNOWN, details: leaf.path, unanswered: true }];
  return "code" in first
    ? [{ what, code: first.code, details: `${leaf.path}: ${first.details}` }]
    : [{ what, code: status.OK, details: leaf.path }];
}

const PATHS = [
  "/",
  "/livez",
  "/readyz",
  "/metrics",
  "/muster.v1.TaskService/ListTasks",
  "//",
  "*",
  "http://[",
  "/%00",
];
const HOSTS = [
  "x",
  "",
  "[",
  "[::1",
  "a b",
  "a@b",
  ":1",
  "x:99999999",
  "\u00ff",
  "[::1]:1",
  "a/b",
  "..",
  "%",
  "x,y",
];
const HEADERS = [
  "authorization",
  "accept",
  "accept-encoding",
  "connect-timeout-ms",
  "content-encoding",
  "traceparent",
];
const VALUES = [
  "",
  "Bearer ",
  "Bearer \u00ff",
  "gzip",
  "br",
  "-1",
  "1e9",
  "99999999999999999999",
  "*/*",
  "x".repeat(3_000),
];

/** Request lines and headers that no client sends. */
export async function headersOfHttp(random: Random, target: TestScheduler): Promise<FieldAnswer[]> {
  const version = random.pick(["1.0", "1.1"]) ?? "1.1";
  const method = random.pick(["GET", "POST", "HEAD", "OPTIONS", "PUT"]) ?? "GET";
  const path = random.pick(PATHS) ?? "/";
  const host = random.pick(HOSTS) ?? "";
  const odd = Array.from(
    { length: random.int(0, 3) },
    () => `${random.pick(HEADERS)}: ${random.pick(VALUES)}`,
  );
  const type =
    random.pick(["application/json", "application/connect+json", "application/grpc-web", "", "\u00ff"]) ?? "";
  const lines = [
    `${method} ${path} HTTP/${version}`,
    ...(random.chance(0.8) ? [`host: ${host}`] : []),
    ...odd,
    ...(type === "" ? [] : [`content-type: ${type}`]),
    ...["content-length: 2", "connection: close", "", "{}"],
  ];
  const text = await exchange(Number(new URL(target.http).port), lines.join("\r\n"));
  const what = `HTTP ${version} ${method}`;
  const found = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0);
  const details = `${JSON.stringify(lines.slice(0, 4))}: ${text.slice(0, 200)}`;
  return [{ what, code: found === 0 ? status.UNKNOWN : codeOf(found), details, unanswered: found === 0 }];
}

function exchange(port: number, request: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    let text = "";
    socket.setTimeout(ANSWER_MS, () => socket.destroy());
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
    });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(text));
    socket.write(Buffer.from(request, "latin1"));
  });
}

/** Any value for a field: every length that something may be cut to, in characters of every size. */
function value(leaf: Leaf, random: Random): unknown {
  const big = [0n, -1n, 1n, 2n ** 63n - 1n, -(2n ** 63n), 253_402_300_800n, 315_576_000_001n];
  const nanos = [0, -1, 1, 999_999_999, 1_000_000_000, 2_147_483_647];
  switch (leaf.kind) {
    case "string":
      return text(random);
    case "int64":
      return random.pick(big);
    case "float":
      return random.pick([0, -0, Number.NaN, Infinity, -Infinity, -1, 0.5, 1e308, 5e-324]);
    case "Duration":
    case "Timestamp":
      return { seconds: random.pick(big), nanos: random.pick(nanos) };
    default:
      return undefined;
  }
}

function text(random: Random): string {
  const start = random.pick(["", "t-1", "t-1.1", "x", "v1:"]) ?? "";
  const unit = random.pick(UNITS) ?? "";
  return `${start}${"x".repeat(random.int(0, 300))}${unit.repeat(random.int(0, random.chance(0.1) ? 5_000 : 8))}`;
}

function codeOf(http: number): status {
  if (http < 400) return status.OK;
  if (http === 401) return status.UNAUTHENTICATED;
  if (http === 404) return status.NOT_FOUND;
  if (http === 503) return status.UNAVAILABLE;
  return http < 500 || http === 501 || http === 505 ? status.INVALID_ARGUMENT : status.INTERNAL;
}

function late(): Promise<undefined> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(undefined), ANSWER_MS).unref();
  });
}

function fail(): never {
  throw new Error("there is nothing to pick");
}
