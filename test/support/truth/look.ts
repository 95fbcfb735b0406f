/** Asks the schedulers of a database for all that they say, and finds what is not true. */
import { existsSync, readFileSync } from "node:fs";
import { CheckStatus, type Explanation } from "@muster/protocol";
import { type Client, MusterError } from "@muster/worker/client";
import type { Look } from "./context.ts";
import { type Contradiction, contradictionsIn } from "./contradictions.ts";
import { type FactReader, processState, type TaskFact } from "./facts.ts";
import { readCommands } from "./words.ts";

/** Subjects of each kind that one look asks for: the open tasks first, then the ones that ended last. */
const MOST = 40;

/** A scheduler that takes longer than this for one answer is not judged by its words. */
const ANSWER_MS = 20_000;

/** What a look needs. */
export interface ContradictionSearch {
  readonly facts: FactReader;
  readonly client: Client;
  /** Where handlers note their runs: `task attempt worker` a line. */
  readonly runsFile: string;
  readonly heartbeatMs: number;
  /** Ended tasks that an earlier look has judged: they do not change any more. */
  readonly judged: Set<string>;
}

/** Compares all that the scheduler says now with the database and the processes. */
export async function findContradictions(parts: ContradictionSearch): Promise<Contradiction[]> {
  const { client, facts, judged } = parts;
  const before = await facts.read();
  const processes = new Map(before.sessions.map((session) => [session.sessionId, processState(session)]));
  const call = { timeoutMs: ANSWER_MS };
  const open = before.tasks.filter(({ finishMs }) => finishMs === null).slice(0, MOST);
  const ended = before.tasks
    .filter(({ id, finishMs }) => finishMs !== null && !judged.has(id))
    .sort((a, b) => (b.finishMs ?? 0) - (a.finishMs ?? 0))
    .slice(0, MOST);
  const asks = <T>(list: readonly T[], nameOf: (item: T) => string, ask: (name: string) => Asked) =>
    Promise.all(list.slice(0, MOST).map(async (item) => [nameOf(item), await ask(nameOf(item))] as const));
  const [tasks, workers, queues, listed, listedWorkers, diagnosis] = await Promise.all([
    asks<TaskFact>(
      [...open, ...ended],
      ({ id }) => id,
      (taskId) => known(client.tasks.explainTask({ taskId }, call)),
    ),
    asks(
      before.sessions,
      ({ workerId }) => workerId,
      (workerId) => known(client.fleet.explainWorker({ workerId }, call)),
    ),
    asks(
      before.queues,
      ({ name }) => name,
      (queue) => known(client.fleet.explainQueue({ queue }, call)),
    ),
    client.fleet.listQueues({ pageSize: 1_000 }, call),
    client.fleet.listWorkers({ pageSize: 1_000 }, call),
    client.fleet.diagnose({}, call),
  ]);
  const after = await facts.read();
  for (const { id } of ended) judged.add(id);
  return contradictionsIn({
    before,
    after,
    processes,
    tasks: present(tasks),
    workers: present(workers),
    queues: present(queues),
    listedQueues: listed.queues,
    listedWorkers: listedWorkers.workers,
    checks: (diagnosis.diagnosis?.checks ?? []).map((check) => ({
      ...check,
      ok: check.status === CheckStatus.OK,
    })),
    ...calls(parts.runsFile),
    commands: readCommands(),
    settleMs: 2 * parts.heartbeatMs,
  });
}

/** The contradictions as a test's error. */
export function describeContradictions(lies: readonly Contradiction[]): string {
  const found = lies.map(
    ({ kind, subject, says, but }) => `${subject} [${kind}]\n    says ${says}\n    but  ${but}`,
  );
  return `what is said is not so:\n  ${found.join("\n  ")}`;
}

type Asked = Promise<Explanation | undefined>;

async function known(answer: Promise<{ explanation?: Explanation | undefined }>): Asked {
  try {
    return (await answer).explanation;
  } catch (error) {
    // It went between the two reads, or the database did.
    if (
      error instanceof MusterError &&
      ["NOT_FOUND", "DATABASE_UNAVAILABLE"].some((end) => error.reason?.endsWith(end))
    )
      return undefined;
    throw error;
  }
}

function present(entries: readonly (readonly [string, Explanation | undefined])[]): Map<string, Explanation> {
  return new Map(entries.flatMap(([id, explanation]) => (explanation ? [[id, explanation]] : [])));
}

function calls(runsFile: string): Pick<Look, "called" | "noting"> {
  const lines = existsSync(runsFile) ? readFileSync(runsFile, "utf8").split("\n") : [];
  const runs = lines.map((line) => line.split(" "));
  return {
    called: new Set(runs.flatMap(([, attempt]) => attempt ?? [])),
    noting: new Set(runs.flatMap(([, , worker]) => worker ?? [])),
  };
}
