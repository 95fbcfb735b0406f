import assert from "node:assert/strict";
import { test } from "node:test";
import { type ProgressHost, ProgressThrottle } from "./progress.ts";

function reporter() {
  const sent: unknown[] = [];
  const host: ProgressHost = {
    clock: { monotonicMs: () => 0 },
    deadlines: { add: () => assert.fail("a report waits"), remove: () => undefined },
    link: {
      send: (message) => {
        assert.equal(message.kind, "progress");
        const { done, total, fraction } = message;
        sent.push({ done, total, fraction });
      },
      flush: () => undefined,
    },
  };
  const progress = new ProgressThrottle("t-1.1", host);
  return { sent, report: (...args: unknown[]) => Reflect.apply(progress.report, progress, args) };
}

test("T34: what is no report of progress is refused with what to give, and nothing is sent", () => {
  const { sent, report } = reporter();
  const refused: [args: unknown[], message: RegExp][] = [
    [[5, 5], /^progress\(5, 5\): .* give \{ done, total \}/],
    [[1, 9], /^progress\(1, 9\): the message must be a text; for counts give \{ done, total \}/],
    [[], /^progress\(undefined\): give a share from 0 to 1, or \{ done, total \}/],
    [[null], /^progress\(null\): give a share/],
    [["5"], /^progress\('5'\): give a share/],
    [[1n], /^progress\(1n\): give a share/],
    [[Number.NaN], /^progress\(NaN\): a share must be from 0 to 1/],
    [[{ done: Number.NaN, total: 5 }], /counts must be integers from 0/],
    [[{ done: -1, total: 5 }], /counts must be integers from 0/],
  ];
  for (const [args, message] of refused) assert.throws(() => report(...args), { message }, String(message));
  assert.deepEqual(sent, []);
  report({ done: 5, total: 5 }, "pages");
  assert.deepEqual(sent, [{ done: 5, total: 5, fraction: undefined }]);
});
