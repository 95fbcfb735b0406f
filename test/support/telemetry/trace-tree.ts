/** Puts spans together as a tree, and checks their times. */
import assert from "node:assert/strict";
import { type ReceivedSpan, shown } from "./otlp.ts";

/** Clocks of processes on one machine, and of its database, agree to within this. */
const CLOCK_MS = 5;

/** From one step of an attempt to the next: messages under way on a busy machine. */
const GAP_MS = 2_000;

/**
 * Checks that the spans of one trace form one tree: one root, every parent present, no id twice, nothing that
 * begins before its parent or ends before it began.
 *
 * @param parent The span above the root, when the trace began elsewhere.
 */
export function assertTree(spans: readonly ReceivedSpan[], parent = ""): void {
  const tree = spans.map(shown).join("\n");
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  assert.equal(byId.size, spans.length, `a span id stands twice:\n${tree}`);
  const roots = spans.filter(({ parentSpanId }) => parentSpanId === parent);
  assert.equal(roots.length, 1, `not one root below "${parent}":\n${tree}`);
  for (const span of spans) {
    assert.ok(span.endMs >= span.startMs, `${shown(span)} ends before it begins`);
    if (span.parentSpanId === parent) continue;
    const above = byId.get(span.parentSpanId);
    assert.ok(above, `${shown(span)} is an orphan:\n${tree}`);
    // A span that the scheduler writes for a worker begins when the worker's report arrived.
    const slack = above.attributes["muster.reported_by"] === "scheduler" ? GAP_MS : CLOCK_MS;
    assert.ok(span.startMs >= above.startMs - slack, `${shown(span)} begins before ${shown(above)}`);
  }
}

/** The one span of that name, below `parent` when given. */
export function only(spans: readonly ReceivedSpan[], name: string, parent?: ReceivedSpan): ReceivedSpan {
  const found = spans.filter(
    (span) => span.name === name && (parent === undefined || span.parentSpanId === parent.spanId),
  );
  assert.equal(found.length, 1, `${found.length} spans "${name}" in\n${spans.map(shown).join("\n")}`);
  return found[0] as ReceivedSpan;
}

/**
 * Checks that the steps of an attempt follow each other and fill it from its first moment to its last.
 *
 * @returns The steps.
 */
export function assertSteps(spans: readonly ReceivedSpan[], attempt: ReceivedSpan) {
  const queue = attempt.attributes["muster.queue"];
  const [wait, assign, accept, run] = ["queue wait", "assign", "accept", `run ${queue}`].map((name) =>
    only(spans, name, attempt),
  ) as [ReceivedSpan, ReceivedSpan, ReceivedSpan, ReceivedSpan];
  const commit = spans.find(
    ({ name, parentSpanId }) => name === `commit ${queue}` && parentSpanId === attempt.spanId,
  );
  near(wait.startMs, attempt.startMs, "the attempt begins with its wait");
  near(assign.startMs, wait.endMs, "the assignment follows the wait");
  near(accept.startMs, assign.endMs, "the acceptance follows the assignment");
  follows(run.startMs, accept.startMs, "the run follows the assignment");
  const last = commit ?? run;
  if (commit) follows(commit.startMs, run.endMs, "the commit follows the run");
  near(last.endMs, attempt.endMs, "the attempt ends with its last step");
  const steps = [wait, assign, run, ...(commit ? [commit] : [])];
  const sum = steps.reduce((total, { startMs, endMs }) => total + endMs - startMs, 0);
  const whole = attempt.endMs - attempt.startMs;
  assert.ok(
    sum <= whole + steps.length * CLOCK_MS && sum >= whole - 2 * GAP_MS,
    `the steps last ${sum} ms of the attempt's ${whole}`,
  );
  return { wait, assign, accept, run, commit };
}

function near(a: number, b: number, what: string): void {
  assert.ok(Math.abs(a - b) <= CLOCK_MS, `${what}: ${a} and ${b}`);
}

function follows(later: number, earlier: number, what: string): void {
  const gap = later - earlier;
  assert.ok(gap >= -CLOCK_MS && gap <= GAP_MS, `${what}: by ${gap} ms`);
}
