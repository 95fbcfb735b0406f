import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { KeyPauseAnswerSchema } from "@muster/protocol";
import type { Clock } from "../../clock.ts";
import type { FromLink } from "../messages.ts";
import { KeyPauseRequests } from "./key-pauses.ts";

const FEATURES = ["brief_starts", "key_pauses"];

describe("requests to pause keys", () => {
  let now = 0;
  let sent: string[] = [];
  let answers: FromLink[] = [];
  let requests: KeyPauseRequests;

  beforeEach(() => {
    now = 1_000;
    sent = [];
    answers = [];
    const clock: Clock = {
      monotonicMs: () => now,
      after: () => () => undefined,
      every: () => () => undefined,
    };
    requests = new KeyPauseRequests(clock, {
      send: (message) => {
        assert.equal(message.case, "keyPauseRequest");
        const { requestId, key, duration } = Object(message.value);
        sent.push(`${requestId} ${key} ${Number(duration.seconds) * 1_000 + duration.nanos / 1e6}`);
      },
      emit: (message) => answers.push(message),
    });
  });

  const ask = (requestId: number, untilMs: number) =>
    requests.ask({
      kind: "pauseKey",
      requestId,
      attemptId: "t-1.1",
      key: "api",
      untilMs,
      reason: "HTTP 429",
    });
  const answer = (requestId: number, fields: { leftMs?: number; error?: string }) =>
    requests.answered(
      create(KeyPauseAnswerSchema, {
        requestId: BigInt(requestId),
        error: fields.error ?? "",
        ...(fields.leftMs === undefined ? {} : { remaining: durationFromMs(fields.leftMs) }),
      }),
    );

  it("are sent again on a new stream with the time that is left, until they are answered", () => {
    requests.open(FEATURES);
    ask(1, 11_000);
    ask(2, 21_000);
    answer(2, { leftMs: 20_000 });
    requests.close();
    now = 5_000;
    ask(3, 15_000);
    assert.deepEqual(sent, ["1 api 10000", "2 api 20000"]);
    requests.open(FEATURES);
    assert.deepEqual(sent.slice(2), ["1 api 6000", "3 api 10000"]);
    answer(1, { error: "t-1.1 is no longer this worker's" });
    answer(1, { leftMs: 5 });
    assert.deepEqual(answers, [
      { kind: "keyPauseAnswered", requestId: 2, leftMs: 20_000, error: "" },
      {
        kind: "keyPauseAnswered",
        requestId: 1,
        leftMs: undefined,
        error: "t-1.1 is no longer this worker's",
      },
    ]);
  });

  it("end with the reason when their time is over, or the scheduler does not take them", () => {
    ask(1, 2_000);
    ask(2, 9_000);
    now = 3_000;
    requests.open(FEATURES);
    assert.deepEqual(sent, ["2 api 6000"]);
    requests.close();
    requests.open(["brief_starts"]);
    const errors = answers.map((each) => (each.kind === "keyPauseAnswered" ? each.error : ""));
    assert.match(errors[0] ?? "", /the time was over/);
    assert.match(errors[1] ?? "", /does not take pauses of keys/);
    assert.equal(answers.length, 2);
  });
});
