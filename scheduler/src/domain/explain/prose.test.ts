/**
 * The prose of explanations, from prose.txt: a text that is changed in the sources is changed there with
 * `npm test -- --test-update-snapshots scheduler/src/domain/explain/prose.test.ts`. Other tests assert codes and evidence.
 */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { ASSIGNED_CODES, ENDED_CODES, SCHEDULE_CODES, WAITING_CODES, WORKER_CODES } from "./codes.ts";
import type { Reason } from "./reason.ts";
import { ASSIGNED_PROSE, ENDED_PROSE } from "./testing/assigned-prose.ts";
import type { ProseCase } from "./testing/prose-case.ts";
import { SCHEDULE_PROSE } from "./testing/schedule-prose.ts";
import { WAITING_PROSE } from "./testing/waiting-prose.ts";
import { WORKER_PROSE } from "./testing/worker-prose.ts";

const SNAPSHOT = fileURLToPath(new URL("prose.txt", import.meta.url));

const SECTIONS = [
  ["A task that waits", WAITING_CODES, WAITING_PROSE],
  ["A task that was assigned", ASSIGNED_CODES, ASSIGNED_PROSE],
  ["A task that ended", ENDED_CODES, ENDED_PROSE],
  ["A worker", WORKER_CODES, WORKER_PROSE],
  ["A schedule", SCHEDULE_CODES, SCHEDULE_PROSE],
] as const;

describe("the prose of explanations", () => {
  for (const [subject, codes, cases] of SECTIONS) {
    it(`covers every code: ${subject}`, () => {
      const covered = new Set<string>(cases.map(({ code }) => code));
      assert.deepEqual([...covered].toSorted(), Object.keys(codes).toSorted());
    });
  }

  it("is that of prose.txt", ({ assert: snapshots }: TestContext) => {
    const text = SECTIONS.map(
      ([subject, , cases]) => `# ${subject}\n\n${cases.map((each) => shown(each)).join("\n")}`,
    ).join("\n");
    snapshots.fileSnapshot(text, SNAPSHOT, { serializers: [String] });
  });
});

function shown({ code, when, write }: ProseCase): string {
  const reasons = write();
  const reason = reasons.find((each) => each.code === code);
  assert.ok(reason, `${code} (${when}) is not among ${reasons.map((each) => each.code).join(", ")}`);
  return `## ${code}: ${when}\n${sentences(reason)}\n`;
}

function sentences({ summary, evidence, remedy }: Reason): string {
  const facts = evidence.map(({ key, value, source }) => `   ${key}: ${value} (${source})`);
  return [summary, ...facts, `-> ${remedy}`].join("\n");
}
