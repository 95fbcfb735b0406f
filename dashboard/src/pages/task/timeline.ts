/** The life of a task as lanes: a wait, then an attempt, and so on. */
import { type Event, type Task, TaskState } from "@muster/protocol";
import { timestampMs } from "../../format/span.ts";

/** A stretch of a lane. */
export interface Segment {
  readonly kind: "wait" | "assigned" | "run" | "phase" | "stuck";
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
  /** Since when a phase has been longer than its threshold. */
  readonly stuck: Map<string, number>;
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
  const waits: { from: number; to: number | undefined; after: string }[] = [
    { from, to: undefined, after: "" },
  ];
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
      if (end === undefined || at < end) waits.push({ from: at, to: undefined, after: event.name });
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
        segments: [{ kind: "wait", name: waitName(wait.after), from: wait.from, to: until }],
        marks: [],
      });
    const draft = drafts[index];
    if (draft) lanes.push(lane(draft, to));
  }
  for (const draft of drafts.slice(waits.length)) lanes.push(lane(draft, to));
  return { from, to: Math.max(to, from + 1), lanes };
}

/** What made a task wait again, by the word after `requeued:`. */
const REQUEUED: Readonly<Record<string, string>> = {
  retry: "a failure",
  stale: "the loss of its worker",
  exited: "the end of its worker's process",
  fatal: "a fatal error of its worker",
  oom_killed: "its worker ran out of memory",
  superseded: "its worker's process was replaced",
  forgotten: "its worker did not list it any more",
  unaccepted: "its worker did not accept it",
  drain: "a drain of its worker",
  revoked: "it was revoked",
};

/** @param after The end of the attempt before; empty before the first one. */
function waitName(after: string): string {
  if (after === "") return "waits";
  const reason = after.replace("requeued:", "");
  return `waits after ${REQUEUED[reason] ?? reason.replaceAll("_", " ")}`;
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
    stuck: new Map(),
    phases: [],
    marks: [],
  };
}

function phase(draft: Draft, { name, attributes }: Event, at: number): void {
  const [, phaseName, what] = PHASE.exec(name) ?? [];
  if (phaseName === undefined) return;
  if (what === "started") draft.open.set(phaseName, at);
  else if (what === "stuck") {
    draft.marks.push({ name: `stuck in ${phaseName}`, at, bad: true });
    if (!draft.stuck.has(phaseName)) draft.stuck.set(phaseName, at);
  } else {
    // Events of one report have one time: the phase itself says how long it took.
    const elapsed = at - Number(attributes.elapsed_ms ?? 0);
    const begin = Math.min(draft.open.get(phaseName) ?? elapsed, elapsed);
    draft.open.delete(phaseName);
    draft.phases.push({ kind: "phase", name: phaseName, from: begin, to: at });
    const since = draft.stuck.get(phaseName);
    if (since !== undefined) draft.phases.push(stuckIn(phaseName, since, at));
    draft.stuck.delete(phaseName);
    if (what === "failed") draft.marks.push({ name: `${phaseName} failed`, at, bad: true });
  }
}

function stuckIn(phaseName: string, from: number, to: number): Segment {
  return { kind: "stuck", name: `stuck in ${phaseName}`, from, to };
}

function lane(
  { label, outcome, workerId, assigned, started, end, open, stuck, phases, marks }: Draft,
  to: number,
): Lane {
  const until = end ?? to;
  const segments: Segment[] = [];
  if (assigned !== undefined && (started ?? until) > assigned)
    segments.push({ kind: "assigned", name: "assigned", from: assigned, to: started ?? until });
  if (started !== undefined) segments.push({ kind: "run", name: "runs", from: started, to: until });
  segments.push(...phases);
  for (const [name, begin] of open) segments.push({ kind: "phase", name, from: begin, to: until });
  for (const [name, since] of stuck) segments.push(stuckIn(name, since, until));
  return { label, outcome, workerId, segments, marks };
}
