/** Basic cases of the registration: Hello, the phase `ready`, refusals, unknown messages. */
import { create } from "@bufbuild/protobuf";
import { status as Status } from "@grpc/grpc-js";
import { ErrorReason, PROTOCOL_VERSION, SchedulerMessageSchema } from "@muster/protocol";
import type { ConformanceCase } from "../../case.ts";
import { must } from "../../mismatch.ts";
import type { Scheduler } from "../../peer/scheduler.ts";
import { BEAT_MS } from "../../peer/worker-stream.ts";
import { SLOTS, TOKEN, type Trial } from "../../trial.ts";
import { outputOf } from "../outcomes.ts";
import { BASIC_TYPES } from "../task-types.ts";

const RULES = "docs/protocol.md#rules";
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Verdicts: each has a status, a reason, and a text that the log must have. */
const VERDICTS = [
  { code: Status.FAILED_PRECONDITION, reason: ErrorReason.PROTOCOL_VERSION_MISMATCH },
  { code: Status.UNAUTHENTICATED, reason: ErrorReason.INVALID_TOKEN },
  { code: Status.INVALID_ARGUMENT, reason: ErrorReason.INVALID_HELLO },
  { code: Status.UNIMPLEMENTED, reason: ErrorReason.NOT_IMPLEMENTED },
] as const;

async function refuse(trial: Trial, { code, reason }: (typeof VERDICTS)[number]): Promise<void> {
  const scheduler = await trial.scheduler();
  const message = `the case refuses it with ${reason.toLowerCase()}`;
  scheduler.answer = (stream) => stream.fail(code, reason, message);
  const worker = trial.start(scheduler.address);
  const stream = await trial.stream(scheduler, 1);
  await trial.failed(worker, `after ${Status[code]} (${reason})`);
  const took = (worker.exit?.atMs ?? 0) - (stream.endedAtMs ?? 0);
  must(took < trial.late(2_000), `the end within 2 s of ${Status[code]}`, `it took ${Math.round(took)} ms`);
  must(scheduler.streams.length === 1, "no further dial", `${scheduler.streams.length} streams came`);
  must(worker.output.includes(message), `the log has "${message}"`, `its output ends:\n${worker.lastOutput}`);
}

/** Refuses the first dials as a scheduler that starts does. */
function unavailableAtFirst(scheduler: Scheduler, dials: number): void {
  scheduler.answer = (stream) => {
    if (stream.number > dials) stream.welcome();
    else stream.fail(Status.UNAVAILABLE, ErrorReason.SCHEDULER_STOPPING, "the scheduler is stopping");
  };
}

/** Ids B01, B02, B09, B10, B11, B14. */
export const REGISTRATION: readonly ConformanceCase[] = [
  {
    id: "B01",
    title: "Hello names the worker, its process and what it runs",
    rule: { page: "docs/protocol.md#a-streams-life", says: "`Hello` is first, within 15 s." },
    scheduler: "reads the first message and the metadata",
    expected:
      "version 1, a worker id, a uuid as session, the task types, 4 slots, SDK, language, host; the bearer token",
    run: async (trial) => {
      const { stream } = await trial.begin();
      const { hello } = stream;
      must(hello !== undefined, "Hello as the first message", "another one came");
      must(
        hello.protocolVersion === PROTOCOL_VERSION,
        "protocol version 1",
        `it was ${hello.protocolVersion}`,
      );
      must(
        hello.workerId.startsWith("conformance-"),
        "the worker id of WORKER_ID",
        `it was "${hello.workerId}"`,
      );
      must(UUID.test(hello.sessionId), "a uuid as session id", `it was "${hello.sessionId}"`);
      must(
        hello.slotCount === SLOTS,
        `${SLOTS} slots, as the variable SLOTS says`,
        `it was ${hello.slotCount}`,
      );
      const types = hello.taskTypes.map(({ taskType }) => taskType);
      const missing = BASIC_TYPES.filter((type) => !types.includes(type));
      must(
        missing.length === 0,
        `the task types ${BASIC_TYPES.join(", ")}`,
        `${missing.join(", ")} are missing`,
      );
      const { sdkName, sdkVersion, language, host } = hello;
      must(
        sdkName !== "" && sdkVersion !== "",
        "the name and version of its SDK",
        `"${sdkName}", "${sdkVersion}"`,
      );
      must(language !== "", "its language", "it is empty");
      must(
        host !== undefined && host.hostname !== "" && host.pid > 0,
        "its host name and process id",
        "one is missing",
      );
      must(hello.inFlight.length === 0, "no attempts in flight", `${hello.inFlight.length} are named`);
      const { authorization } = stream;
      must(
        authorization === `Bearer ${TOKEN}`,
        `authorization: Bearer ${TOKEN}`,
        `it was "${authorization}"`,
      );
    },
  },
  {
    id: "B02",
    title: "ready is said also when the startup is over before Welcome",
    rule: {
      page: "docs/protocol.md#a-streams-life",
      says: "A worker may send before `Welcome`: the scheduler reads it once the registration is stored.",
    },
    scheduler: "sends Welcome 2.5 s after Hello; the startup is over by then",
    expected: "the phase `ready` comes, in Hello or after it; the next task runs",
    run: async (trial) => {
      const scheduler = await trial.scheduler();
      scheduler.answer = () => {};
      trial.start(scheduler.address);
      const stream = await trial.stream(scheduler, 1);
      await trial.changes.pass(2_500);
      stream.welcome();
      await trial.ready(stream);
      stream.assign("t-1.1", "echo", 1);
      outputOf(await stream.result("t-1.1"));
    },
  },
  {
    id: "B09",
    title: "a verdict ends a worker that was never registered",
    rule: {
      page: "docs/protocol.md#errors",
      says: "a verdict: before the first registration it stops with the message",
    },
    scheduler:
      "ends the stream of Hello with FAILED_PRECONDITION, UNAUTHENTICATED, INVALID_ARGUMENT or UNIMPLEMENTED",
    expected: "the process ends within 2 s with a code other than 0; its log has the message",
    run: async (trial) => {
      for (const verdict of VERDICTS) await refuse(trial, verdict);
    },
  },
  {
    id: "B10",
    title: "a worker that is not registered in time ends",
    rule: {
      page: RULES,
      says: "when it expires, the worker reports phase `startup_timeout_unregistered` with the last dial error and exits with a code other than zero.",
    },
    scheduler: "never sends Welcome; WORKER_REGISTER_TIMEOUT_S is 3",
    expected: "the process ends after 3 s with a code other than 0; its log has the phase",
    run: async (trial) => {
      const scheduler = await trial.scheduler();
      scheduler.answer = () => {};
      const worker = trial.start(scheduler.address, { WORKER_REGISTER_TIMEOUT_S: "3" });
      await trial.failed(worker, "after the register timeout");
      const took = (worker.exit?.atMs ?? 0) - worker.startedAtMs;
      must(
        took >= 2_900 && took < trial.late(8_000),
        "the end 3 s after the start",
        `it took ${Math.round(took)} ms`,
      );
      const phase = "startup_timeout_unregistered";
      must(worker.output.includes(phase), `the log has ${phase}`, `its output ends:\n${worker.lastOutput}`);
    },
  },
  {
    id: "B11",
    title: "what is unknown, or of another worker, is ignored",
    rule: {
      page: RULES,
      says: "**Ignore what is unknown**: message kinds and enum values of a newer peer are counted and skipped.",
    },
    scheduler:
      "sends an unknown kind, an unknown field, and acknowledgements, cancellations and revocations of attempts that the worker does not hold",
    expected: "it goes on, and runs the next task on the same stream",
    run: async (trial) => {
      const { stream } = await trial.begin();
      const unknownKind = create(SchedulerMessageSchema, {});
      // Field 1000, length-delimited, with three bytes.
      unknownKind.$unknown = [{ no: 1000, wireType: 2, data: Uint8Array.of(3, 1, 2, 3) }];
      stream.write(unknownKind);
      const unknownField = create(SchedulerMessageSchema, {
        kind: { case: "resume", value: { reason: "none" } },
      });
      unknownField.$unknown = [{ no: 1001, wireType: 0, data: Uint8Array.of(7) }];
      stream.write(unknownField);
      stream.ack("t-9.1");
      stream.cancel("t-9.1");
      stream.revoke("t-9.1");
      stream.assign("t-1.1", "echo", "after the strangers");
      must(
        outputOf(await stream.result("t-1.1")) === '"after the strangers"',
        "the payload as the result",
        "another",
      );
      await stream.nextBeats(2);
      must(stream.results("t-9.1").length === 0, "nothing about the unknown attempt", "a result came");
      must(!stream.ended, "the stream goes on", "it has ended");
    },
  },
  {
    id: "B14",
    title: "a scheduler that is not there yet is dialled again",
    rule: { page: "docs/protocol.md#errors", says: "or the connection itself | dials again |" },
    scheduler: "ends the first two streams with UNAVAILABLE",
    expected: "it dials again and registers",
    run: async (trial) => {
      const scheduler = await trial.scheduler();
      unavailableAtFirst(scheduler, 2);
      trial.start(scheduler.address);
      const stream = await trial.stream(scheduler, 3);
      await trial.ready(stream);
      const sessions = new Set(scheduler.streams.map(({ hello }) => hello?.sessionId));
      must(sessions.size === 1, "the same session in every Hello", `${sessions.size} sessions came`);
      await stream.beat("a heartbeat", () => true, 4 * BEAT_MS + 2_000);
    },
  },
];
