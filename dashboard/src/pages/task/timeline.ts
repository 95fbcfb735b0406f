/** The life of a task as lanes: a wait, then an attempt, and so on. */
import { type Event, type Task, TaskState } from "@muster/protocol";
import { timestampMs } from "../../format/span.ts";

/** A stretch of a lane. */
export interface Segment {
  readonly kind: "wait" | "assigned" | "run" | "phase";
  readonly name: string;
  /** Milliseconds since the epoch. */
  readonly from: number;
  readonly to: number;
}

/** A moment of a lane. */
export interface Mark {
  readonly name: string;
  readonly at: number;
  /** Something is wrong then. */
  readonly bad: boolean;
}

/** A wait or an attempt. */
export interface Lane {
  readonly label: string;
  /** How it ended; empty while it lasts. */
  readonly outcome: string;
  readonly workerId: string;
  readonly segments: readonly Segment[];
  readonly marks: readonly Mark[];
}

/** All lanes, and the time that they span. */
export interface Timeline {
  readonly from: number;
  readonly to: number;
  readonly lanes: readonly Lane[];
}

const ENDED: ReadonlySet<TaskState> = new Set([TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED]);

const PHASE = /^task\.([a-z0-9_]+)\.(started|completed|failed|stuck)$/;

const ENDS = /^(?:requeued:|released|succeeded|failed|cancelled)/;

interface Draft {
  readonly label: string;
  workerId: string;
  outcome: string;
  assigned: number | undefined;
  started: number | undefined;
  end: number | undefined;
  readonly open: Map<string, number>;
  readonly phases: Segment[];
  readonly marks: Mark[];
}

/**
 * From the events of the task, which are in their total order.
 *
 * @param now The time of the last answer: what lasts goes on until then.
 */
export function timeline(task: Task, events: readonly Event[], now: number): Timeline {
  const from = timestampMs(task.createTime) ?? now;
  const end = ENDED.has(task.state) ? timestampMs(task.finishTime) : undefined;
  const attempts = new Map<string, Draft>();
  const waits: { from: number; to: number | undefined }[] = [{ from, to: undefined }];
  for (const event of events) {
    const at = timestampMs(event.time) ?? now;
    if (event.attemptId === "") continue;
    const draft = attempts.get(event.attemptId) ?? newDraft(event.attemptId);
    attempts.set(event.attemptId, draft);
    if (event.workerId !== "") draft.workerId = event.workerId;
    if (event.name === "assigned") {
      draft.assigned = at;
      const wait = waits.at(-1);
      if (wait && wait.to === undefined) wait.to = at;
    } else if (event.name === "started") draft.started = at;
    else if (ENDS.test(event.name)) {
      draft.end = at;
      draft.outcome = event.name;
      // The last end is that of the task; after any other one it waits again.
      if (end === undefined || at < end) waits.push({ from: at, to: undefined });
    } else phase(draft, event, at);
  }
  const to = end ?? now;
  const lanes: Lane[] = [];
  const drafts = [...attempts.values()];
  for (const [index, wait] of waits.entries()) {
    const until = wait.to ?? to;
    if (until > wait.from)
      lanes.push({
        label: "waits",
        outcome: "",
        workerId: "",
        segments: [{ kind: "wait", name: "waits", from: wait.from, to: until }],
        marks: [],
      });
    const draft = drafts[index];
    if (draft) lanes.push(lane(draft, to));
  }
  for (const draft of drafts.slice(waits.length)) lanes.push(lane(draft, to));
  return { from, to: Math.max(to, from + 1), lanes };
}

function newDraft(attemptId: string): Draft {
  return {
    label: attemptId,
    workerId: "",
    outcome: "",
    assigned: undefined,
    started: undefined,
    end: undefined,
    open: new Map(),
    phases: [],
    marks: [],
  };
}

function phase(draft: Draft, { name, attributes }: Event, at: number): void {
  const [, phaseName, what] = PHASE.exec(name) ?? [];
  if (phaseName === undefined) return;
  if (what === "started") draft.open.set(phaseName, at);
  else if (what === "stuck") draft.marks.push({ name: `stuck in ${phaseName}`, at, bad: true });
  else {
    // Events of one report have one time: the phase itself says how long it took.
    const elapsed = at - Number(attributes.elapsed_ms ?? 0);
    const begin = Math.min(draft.open.get(phaseName) ?? elapsed, elapsed);
    draft.open.delete(phaseName);
    draft.phases.push({ kind: "phase", name: phaseName, from: begin, to: at });
    if (what === "failed") draft.marks.push({ name: `${phaseName} failed`, at, bad: true });
  }
}

function lane(
  { label, outcome, workerId, assigned, started, end, open, phases, marks }: Draft,
  to: number,
): Lane {
  const until = end ?? to;
  const segments: Segment[] = [];
  if (assigned !== undefined && (started ?? until) > assigned)
    segments.push({ kind: "assigned", name: "assigned", from: assigned, to: started ?? until });
  if (started !== undefined) segments.push({ kind: "run", name: "runs", from: started, to: until });
  segments.push(...phases);
  for (const [name, begin] of open) segments.push({ kind: "phase", name, from: begin, to: until });
  return { label, outcome, workerId, segments, marks };
}
