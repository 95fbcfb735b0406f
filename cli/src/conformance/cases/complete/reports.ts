/** Complete cases of what a handler reports: phases, progress, output, soft watchdogs. */
import type { ConformanceCase } from "../../case.ts";
import { Mismatch, must } from "../../mismatch.ts";
import { seconds } from "../../peer/durations.ts";
import { BEAT_MS, type WorkerStream } from "../../peer/worker-stream.ts";
import { mustBe } from "../outcomes.ts";

/** Bytes of a chunk at most. */
const CHUNK_BYTES = 64 * 1024;

/** How far a warning may be from its moment, milliseconds. */
const WARNING_MARGIN_MS = 450;

/** When the `stuck` events of a phase came, after its start. */
function warnings(stream: WorkerStream, attemptId: string, phase: string): number[] {
  const events = stream.all("taskEvent").filter(({ value }) => value.attemptId === attemptId);
  const started = events.find(({ value }) => value.name === `task.${phase}.started`);
  if (started === undefined) throw new Mismatch(`the event task.${phase}.started`, "it did not come");
  return events
    .filter(({ value }) => value.name === `task.${phase}.stuck`)
    .map(({ atMs }) => Math.round(atMs - started.atMs));
}

/** @throws Mismatch unless they came at 1, 3 and 7 times the threshold. */
function mustWarn(came: readonly number[], marginMs: number): void {
  const wanted = [500, 1_500, 3_500];
  const near = wanted.every((ms, index) => {
    const lateMs = (came[index] ?? Number.POSITIVE_INFINITY) - ms;
    return lateMs >= -WARNING_MARGIN_MS && lateMs <= marginMs;
  });
  must(
    near && came.length === wanted.length,
    `task.<phase>.stuck ${wanted.join(", ")} ms after the start`,
    `they came after ${came.join(", ") || "nothing"}${came.length > 0 ? " ms" : ""}`,
  );
}

/** Ids C01, C02, C03, C18, C24. */
export const REPORTS: readonly ConformanceCase[] = [
  {
    id: "C01",
    title: "phases are events in order, and in heartbeats",
    rule: { page: "docs/porting.md#a-worker", says: "with phases, `TaskProgress`, `TaskOutput`." },
    scheduler: "assigns phases of 2 s",
    expected:
      "start and end of `first` and `second`, numbered from 3 without a gap; heartbeats name the phase with its age",
    run: async (trial) => {
      const { stream } = await trial.begin();
      stream.assign("t-1.1", "phases", { s: 2 });
      for (const phase of ["first", "second"])
        await stream.beat(`a heartbeat with the phase ${phase}`, ({ running }) =>
          running.some((each) => each.phase === phase && each.phaseAge !== undefined),
        );
      mustBe(await stream.result("t-1.1"), "succeeded");
      const events = stream.events("t-1.1").map(({ sequence, name }) => `${sequence} ${name}`);
      const wanted = [
        ...["1 task.received", "2 task.started", "3 task.first.started", "4 task.first.completed"],
        ...["5 task.second.started", "6 task.second.completed"],
      ];
      const came = events.filter((event) => !/ task\.(completed|.*\.(stuck|recovered))$/.test(event));
      must(came.join() === wanted.join(), wanted.join(", "), `the events were: ${came.join(", ") || "none"}`);
    },
  },
  {
    id: "C02",
    title: "the last progress comes before the result",
    rule: {
      page: "docs/porting.md#a-worker",
      says: "send the last report before a phase begins or ends and before the result.",
    },
    scheduler: "assigns chatty of 50 reports",
    expected: "counts that never fall; 50 of 50 before the result; heartbeats have the share",
    run: async (trial) => {
      const { stream } = await trial.begin();
      stream.assign("t-1.1", "chatty", { n: 50 });
      await stream.beat("a heartbeat with progress", ({ running }) =>
        running.some(({ progress }) => progress !== undefined && progress > 0),
      );
      mustBe(await stream.result("t-1.1"), "succeeded");
      const [result] = stream.results("t-1.1");
      const reports = stream.all("taskProgress").filter(({ value }) => value.attemptId === "t-1.1");
      const shares = reports.map(({ value }) => {
        const { fraction, doneCount, totalCount } = value.progress ?? {};
        return fraction ?? Number(doneCount ?? 0) / Number(totalCount || 50);
      });
      const fell = shares.findIndex((share, index) => share < (shares[index - 1] ?? 0));
      must(fell < 0, "progress that never falls", `${shares[fell]} came after ${shares[fell - 1]}`);
      must(shares.at(-1) === 1, "50 of 50 as the last report", `the last one was ${shares.at(-1)}`);
      const late = reports.filter(({ index }) => index > (result?.index ?? 0)).length;
      must(late === 0, "no progress after the result", `${late} reports came`);
    },
  },
  {
    id: "C03",
    title: "output comes in numbered chunks",
    rule: { page: "docs/protocol.md#limits", says: "| one chunk of `TaskOutput` | 64 KiB | fixed |" },
    scheduler: "assigns output of three chunks of 100,000 bytes",
    expected:
      "chunks of at most 64 KiB, numbered from 1 without a gap, 300,000 bytes in all, before the result",
    run: async (trial) => {
      const { stream } = await trial.begin();
      stream.assign("t-1.1", "output", { chunks: 3, bytes: 100_000 });
      mustBe(await stream.result("t-1.1"), "succeeded");
      const [result] = stream.results("t-1.1");
      const chunks = stream.all("taskOutput").filter(({ value }) => value.attemptId === "t-1.1");
      const numbers = chunks.map(({ value }) => Number(value.sequence));
      must(
        numbers.every((number, index) => number === index + 1),
        "chunks numbered from 1 without a gap",
        `the numbers were ${numbers.join(", ")}`,
      );
      const largest = Math.max(0, ...chunks.map(({ value }) => value.data.byteLength));
      must(largest <= CHUNK_BYTES, `chunks of at most ${CHUNK_BYTES} bytes`, `one has ${largest}`);
      const sum = chunks.reduce((bytes, { value }) => bytes + value.data.byteLength, 0);
      must(sum === 300_000, "300,000 bytes in all", `they have ${sum}`);
      const late = chunks.filter(({ index }) => index > (result?.index ?? 0)).length;
      must(late === 0, "all output before the result", `${late} chunks came after it`);
    },
  },
  {
    id: "C18",
    title: "progress is limited, and says what it left out",
    rule: { page: "docs/porting.md#a-worker", says: "at most ten times a second" },
    scheduler: "assigns chatty of 3,000 reports",
    expected: "at most 15 reports within a second; `shed_count` has the others",
    run: async (trial) => {
      const { stream } = await trial.begin();
      stream.assign("t-1.1", "chatty", { n: 3_000 });
      mustBe(await stream.result("t-1.1", 20_000), "succeeded");
      const reports = stream.all("taskProgress");
      const most = Math.max(
        ...reports.map(
          ({ atMs }) => reports.filter((each) => each.atMs >= atMs && each.atMs < atMs + 1_000).length,
        ),
      );
      must(most <= 15, "at most 15 reports within a second", `${most} came`);
      const shed = reports.reduce((sum, { value }) => sum + Number(value.shedCount), 0);
      must(
        shed + reports.length >= 2_900,
        "the others in shed_count",
        `it has ${shed}, and ${reports.length} came`,
      );
    },
  },
  {
    id: "C24",
    title: "a phase that lasts too long is said to be stuck",
    rule: {
      page: "docs/porting.md#a-worker",
      says: "`task.<phase>.stuck` comes at 1, 3, 7, 15, ... times the threshold of a phase, also while a handler blocks",
    },
    scheduler:
      "assigns phases of 8.4 s, and block of 4.2 s in the phase `work`, with a threshold of 0.5 s for `first` and `work`",
    expected:
      "task.<phase>.stuck after 0.5, 1.5 and 3.5 s, also while it blocks; task.<phase>.recovered before the phase ends",
    run: async (trial) => {
      const { stream } = await trial.begin();
      const phaseWarnings = { first: seconds(0.5), work: seconds(0.5) };
      stream.assign("t-1.1", "phases", { s: 8.4 }, { phaseWarnings });
      await stream.next("taskEvent", "task.first.completed", ({ name }) => name === "task.first.completed");
      mustWarn(warnings(stream, "t-1.1", "first"), trial.late(WARNING_MARGIN_MS));
      const names = stream.events("t-1.1").map(({ name }) => name);
      must(
        names.indexOf("task.first.recovered") >= 0 &&
          names.indexOf("task.first.recovered") < names.indexOf("task.first.completed"),
        "task.first.recovered before task.first.completed",
        `the events were: ${names.join(", ")}`,
      );
      stream.assign("t-2.1", "block", { s: 4.2, phase: "work" }, { phaseWarnings });
      mustBe(await stream.result("t-2.1"), "succeeded");
      mustWarn(warnings(stream, "t-2.1", "work"), trial.late(WARNING_MARGIN_MS));
      await stream.nextBeats(Math.ceil(1_000 / BEAT_MS));
    },
  },
];
