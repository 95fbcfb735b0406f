/** Lines: what is read, what is skipped, and that nothing else is lost. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { AssignmentMessage } from "../../link/assignment.ts";
import { LineReader, type ReadLine } from "./line-reader.ts";
import { rawMember } from "./raw-member.ts";
import { taskLine } from "./task-line.ts";
import { MAX_LINE, parseWorkerLine } from "./worker-line.ts";

/** A generator of numbers from 0 to 1 that is the same in every run. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function someValue(next: () => number, depth = 0): unknown {
  const strings = ["", "a", 'q"uote', "back\\slash", "line\nbreak", "{[,:]}", "ключ", "\u2028", "kind"];
  const text = () => strings[Math.floor(next() * strings.length)] ?? "";
  const kind = Math.floor(next() * (depth > 3 ? 5 : 7));
  if (kind === 0) return null;
  if (kind === 1) return next() < 0.5;
  if (kind === 2) return Math.round(next() * 1e6) / 10;
  if (kind === 3 || kind === 4) return text();
  const items = Array.from({ length: Math.floor(next() * 4) }, () => someValue(next, depth + 1));
  return kind === 5 ? items : Object.fromEntries(items.map((item) => [text(), item]));
}

function textsOf(lines: readonly ReadLine[]): string[] {
  return lines.map((line) => ("text" in line ? line.text : line.fault));
}

describe("the reader of lines", () => {
  it("reads the same lines however the bytes are cut", () => {
    const bytes = Buffer.from('{"a":1}\n\n  \n{"é":"😀"}\nrest');
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const reader = new LineReader(64);
      const lines = [...reader.push(bytes.subarray(0, cut)), ...reader.push(bytes.subarray(cut))];
      assert.deepEqual(textsOf(lines), ['{"a":1}', '{"é":"😀"}'], `cut at ${cut}`);
      assert.deepEqual(textsOf(reader.push(Buffer.from("\n"))), ["rest"]);
    }
  });

  it("takes a line of the limit and skips a longer one, whose bytes it does not keep", () => {
    const reader = new LineReader(1_000);
    assert.deepEqual(textsOf(reader.push(Buffer.from(`${"x".repeat(1_000)}\n`))), ["x".repeat(1_000)]);
    for (let part = 0; part < 100; part += 1) {
      assert.deepEqual(reader.push(Buffer.alloc(999, 0x79)), []);
      assert.ok(reader.keptBytes <= 1_000, String(reader.keptBytes));
    }
    const [line] = reader.push(Buffer.from("\nnext\n"));
    assert.ok(line !== undefined && "fault" in line);
    assert.equal(line.fault, "LINE_TOO_LONG");
    assert.equal(line.head, "y".repeat(200));
    assert.match(line.message, /has 99900 bytes; at most 1000/);
  });

  it("says that a line is not UTF-8, and goes on", () => {
    const reader = new LineReader(64);
    const lines = reader.push(Buffer.from([0xff, 0xfe, 0x0a, 0x41, 0x0a]));
    assert.deepEqual(textsOf(lines), ["NOT_JSON", "A"]);
  });
});

describe("the text of a member", () => {
  it("is that of the last member of the name, for any object", () => {
    const next = random(7);
    for (let round = 0; round < 2_000; round += 1) {
      const object = { kind: "x", ...Object(someValue(next)), output: someValue(next), z: someValue(next) };
      const json = JSON.stringify(object, null, round % 3);
      const raw = rawMember(json, "output");
      assert.ok(raw !== undefined);
      assert.deepEqual(JSON.parse(raw), object.output);
      assert.equal(rawMember(json, "no such member"), undefined);
    }
  });

  it("keeps the digits of numbers", () => {
    assert.equal(
      rawMember('{"output":[12345678901234567890, 1e400]}', "output"),
      "[12345678901234567890, 1e400]",
    );
    assert.equal(rawMember('{"output":1,"output":2.50}', "output"), "2.50");
    assert.equal(rawMember('{"\\u006futput":3}', "output"), "3");
  });
});

describe("a line of a worker", () => {
  it("is never thrown over, whatever it is", () => {
    const next = random(11);
    const kinds = [
      "open",
      "hello",
      "phase",
      "result",
      "progress",
      "log",
      "checkpoint",
      "artifact",
      "fatal",
      "new",
    ];
    for (let round = 0; round < 5_000; round += 1) {
      const object = { ...Object(someValue(next)) };
      for (const field of ["attempt", "version", "types", "outcome", "request", "name", "output", "value"])
        if (next() < 0.5) object[field] = someValue(next);
      object.kind = kinds[Math.floor(next() * kinds.length)];
      const json = JSON.stringify(object);
      const parsed = parseWorkerLine(json);
      if (parsed !== undefined && "fault" in parsed) assert.notEqual(parsed.fault.message, "");
      // A line that was cut off is a fault, not a surprise.
      const cut = parseWorkerLine(json.slice(0, Math.floor(next() * json.length)));
      assert.ok(cut === undefined || "fault" in cut || "line" in cut);
    }
  });

  it("has every fault in one message", () => {
    const parsed = parseWorkerLine(
      '{"kind":"result","attempt":"a","outcome":"failed","class":"odd","retry_after_s":-1}',
    );
    assert.deepEqual(parsed, {
      fault: {
        code: "INVALID_FIELD",
        message:
          'result: class: "odd" is not one of retryable, non_retryable, timed_out, out_of_memory; retry_after_s: -1 is not a number from 0 to 2000000',
        attempt: "a",
      },
    });
  });

  it("is ignored when its kind is unknown, and so are unknown fields", () => {
    assert.equal(parseWorkerLine('{"kind":"of the future"}'), undefined);
    assert.deepEqual(parseWorkerLine('{"kind":"tick","more":{}}'), { line: { kind: "tick" } });
  });

  it("is refused in a version that is not spoken", () => {
    const parsed = parseWorkerLine('{"kind":"open","version":2}');
    assert.ok(parsed !== undefined && "fault" in parsed);
    assert.equal(parsed.fault.code, "VERSION_MISMATCH");
    assert.match(parsed.fault.message, /version 2 .* speaks version 1/);
  });

  it("takes null for a field that is absent", () => {
    assert.deepEqual(parseWorkerLine('{"kind":"drain","reason":null}'), {
      line: { kind: "drain", reason: "" },
    });
  });

  it("names the types that are wrong in a hello", () => {
    const parsed = parseWorkerLine(
      '{"kind":"hello","version":1,"types":["a",{"name":"b","concurrency":0},7],"slots":0}',
    );
    assert.ok(parsed !== undefined && "fault" in parsed);
    assert.equal(parsed.fault.code, "INVALID_HELLO");
    assert.match(parsed.fault.message, /types\[1\]\.concurrency.*types\[2\]: has no name.*slots: 0 is not/);
  });
});

describe("a task line", () => {
  const assignment: AssignmentMessage = {
    ...{
      attemptId: "t-1.1",
      taskId: "t-1",
      type: "echo",
      queue: "default",
      attemptNumber: 1,
      maxAttempts: 3,
    },
    ...{ payload: '{\n "n": 12345678901234567890 }', contentType: "application/json", headers: {} },
    ...{ runTimeoutMs: 1_500, phaseTimeoutsMs: {}, phaseWarningsMs: {}, resources: [], cost: undefined },
    ...{ tick: undefined, resumePoint: undefined, earlierProgress: undefined, steps: [] },
    ...{ iterations: 0, maxIterations: 0 },
  };
  const noFile = (): never => assert.fail("nothing is large");

  it("is one line, with the payload as it was submitted at its end", () => {
    const line = taskLine(assignment, 1_000, noFile);
    assert.ok(!line.includes("\n"));
    assert.match(line, /"timeout_s":1\.5.*,"payload":\{ {2}"n": 12345678901234567890 \}\}$/);
    assert.equal(JSON.parse(line).attempt, "t-1.1");
  });

  it("has bytes as base64, no payload as null, and large values as files", () => {
    const bytes = new Uint8Array([1, 2, 3]);
    const sent = (payload: string | Uint8Array, inline = 1_000) => {
      const spilled: (string | Uint8Array)[] = [];
      const spill = (value: string | Uint8Array) => `/file-${spilled.push(value)}`;
      return { line: JSON.parse(taskLine({ ...assignment, payload }, inline, spill)), spilled };
    };
    assert.equal(sent(bytes).line.payload_b64, "AQID");
    assert.equal(sent("").line.payload, null);
    assert.equal(sent("\ufeff1").line.payload, 1);
    const { line, spilled } = sent('"long"', 3);
    assert.deepEqual([line.payload, line.payload_file, spilled], [undefined, "/file-1", ['"long"']]);
  });

  it("fits into a line of the protocol with what is inlined at most", () => {
    const line = taskLine({ ...assignment, payload: new Uint8Array(700_000) }, 700_000, noFile);
    assert.ok(line.length < MAX_LINE, String(line.length));
  });
});
