import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OptionsError } from "../options/options-error.ts";
import { compileCommand } from "./command-options.ts";
import { checkEnd, type ProgramEnd } from "./outcome.ts";
import { progressIn } from "./progress-line.ts";
import { filled, TemplateError, type TemplateValues } from "./template.ts";

const VALUES: TemplateValues = {
  input: { path: "/a b/$(reboot); 'x'.mp4", size: 7, deep: { flag: true }, list: [1], nothing: null },
  scratch: "/scratch",
  task: { id: "t-1", type: "convert", queue: "default" },
  attempt: { id: "t-1.2", number: 2 },
};

const fill = (template: string, input: unknown = VALUES.input) =>
  filled(template, { ...VALUES, input }, "argument 1");

describe("templates of commands", () => {
  it("put values in as they are, whatever a shell would make of them", () => {
    assert.equal(fill("{input.path}"), "/a b/$(reboot); 'x'.mp4");
    assert.equal(fill("--size={input.size}:{input.deep.flag}"), "--size=7:true");
    assert.equal(fill("{scratch}/{task.id}-{attempt.number}.{{x}}"), "/scratch/t-1-2.{x}");
    assert.equal(fill("{input}", "https://a.example"), "https://a.example");
    assert.equal(fill("{input.a}", { a: "{scratch}" }), "{scratch}", "a value is no template");
  });

  it("say what is missing, and what there is", () => {
    const error = (template: string, input?: unknown) => {
      try {
        fill(template, input);
      } catch (thrown) {
        assert.ok(thrown instanceof TemplateError);
        return thrown.message;
      }
      return assert.fail("it was filled");
    };
    assert.equal(
      error("{input.url}"),
      'argument 1: {input.url} has no value: input has "path", "size", "deep", "list", "nothing"; submit the task with it',
    );
    assert.match(error("{input.deep.x}"), /input\.deep has "flag"/);
    assert.match(error("{input.size.x}"), /input\.size is number/);
    assert.match(error("{input.a}", null), /input is null/);
    assert.match(error("{input.constructor}"), /has no value/);
    assert.match(error("{input.list}"), /is a list; only a text, a number or a boolean/);
    assert.match(error("{input.nothing}"), /is null/);
    assert.match(error("{input}"), /is object/);
    assert.match(error("{input}", "a\0b"), /has a NUL character/);
  });

  it("are checked before the first task, with all faults at once", () => {
    assert.throws(
      () =>
        compileCommand(["run", "{inptu.path}", "{", "a\0"], {
          progress: /x/,
          exitCodes: { success: [0], retry: [0, 256] },
          killGraceS: -1,
          memoryLimitBytes: 5,
          stdin: { text: "}" },
          env: { pass: ["A=B"] },
        }),
      (error) => {
        assert.ok(error instanceof OptionsError);
        assert.equal(error.faults.length, 10, error.message);
        assert.match(error.message, /argument 1: names "\{inptu\.path\}"; allowed are \{input\}/);
        assert.match(error.message, /argument 2: has a single \{; write \{\{/);
        return true;
      },
    );
    assert.throws(() => compileCommand([], {}), /the command: is empty/);
  });
});

describe("the end of a program", () => {
  const CODES = { success: new Set([0, 3]), retry: new Set([75]), permanent: new Set([2]) };
  const end = (rest: Partial<ProgramEnd>): unknown => {
    try {
      checkEnd("prog", { code: null, signal: null, outOfMemory: undefined, lastLines: "", ...rest }, CODES);
      return "success";
    } catch (error) {
      const { name, code, message } = Object(error);
      return `${name} ${code}: ${message}`;
    }
  };

  it("is a success, final, retried, or out of memory, with the evidence", () => {
    assert.equal(end({ code: 0 }), "success");
    assert.equal(end({ code: 3 }), "success");
    assert.equal(
      end({ code: 2, lastLines: "bad file" }),
      "NonRetryableError EXIT_2: prog exited with 2; its last lines: bad file",
    );
    assert.equal(end({ code: 75 }), "RetryableError EXIT_75: prog exited with 75");
    assert.match(String(end({ code: 1 })), /^RetryableError EXIT_1: .* in none of the lists of exitCodes/);
    assert.match(
      String(end({ code: 137 })),
      /^RetryableError EXIT_137: prog exited with 137, as after SIGKILL/,
    );
    assert.equal(end({ signal: "SIGSEGV" }), "RetryableError KILLED_BY_SIGSEGV: prog was ended by SIGSEGV");
    assert.match(String(end({ signal: "SIGKILL" })), /nothing shows who sent it/);
    const evidence = "cgroup oom_kill 0 -> 1 in x";
    assert.match(
      String(end({ signal: "SIGKILL", outOfMemory: evidence })),
      /^OutOfMemoryError OUT_OF_MEMORY: .*oom_kill 0 -> 1/,
    );
    assert.match(String(end({ code: 137, outOfMemory: evidence })), /^OutOfMemoryError/);
  });
});

describe("progress in lines of a program", () => {
  it("is read from named groups, within its bounds", () => {
    const read = (line: string, pattern: RegExp) => progressIn(line, pattern)?.howFar;
    assert.equal(read("frame 9 42.5%", /(?<percent>[\d.]+)%/g), 0.425);
    assert.equal(read("0.5 done", /(?<fraction>[\d.]+) done/), 0.5);
    assert.deepEqual(read("3 of 7 pages", /(?<done>\d+) of (?<total>\d+)/), { done: 3, total: 7 });
    assert.deepEqual(read("9 of 7 pages", /(?<done>\d+) of (?<total>\d+)/), { done: 9 });
    assert.deepEqual(progressIn("50% encode", /(?<percent>\d+)% (?<message>\w+)/), {
      howFar: 0.5,
      message: "encode",
    });
    for (const line of ["999%", "..%", "x"]) assert.equal(read(line, /(?<percent>[\d.]+)%/), undefined, line);
    // A sticky or global pattern has a state of its own; the second line is read like the first.
    const sticky = /(?<percent>\d+)%/y;
    assert.deepEqual([read("1%", sticky), read("2%", sticky)], [0.01, 0.02]);
  });
});
