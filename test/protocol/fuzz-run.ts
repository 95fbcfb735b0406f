/** Runs random attacks for a time and counts the answers. */
import { status } from "@grpc/grpc-js";
import type { LogLine } from "../support/programs/program.ts";
import type { TestScheduler } from "../support/programs/scheduler.ts";
import type { Random } from "../support/random.ts";
import { type Answers, ATTACKS, type AttackName } from "./attacks.ts";

/** A caller's or a worker's fault must be called one; these say that the scheduler is at fault. */
const OUR_FAULTS = new Set([status.INTERNAL, status.UNKNOWN, status.DATA_LOSS]);

const WEIGHTS: Readonly<Record<AttackName, number>> = {
  randomFrames: 2,
  mutatedFrames: 3,
  mutatedHello: 2,
  hostileHello: 3,
  hostileWorker: 6,
  wrongOrder: 1,
  hugeMessage: 1,
  hangUp: 2,
  sharedSession: 1,
  slowReader: 1,
  unary: 6,
  submitStream: 3,
  rawSocket: 3,
  httpGarbage: 2,
  flood: 1,
  fieldOfCall: 6,
  fieldByHttp: 6,
  fieldOfSubmit: 3,
  fieldOfWorker: 12,
  headersOfHttp: 12,
};

/** What attackers did to one scheduler, and what it answered. */
export class FuzzRun {
  /** Attacks by name. */
  readonly counts = new Map<string, number>();
  /** Answers by API and then by status. */
  readonly answers = new Map<string, Map<string, number>>();
  /** Answers that blame the scheduler. */
  readonly faults: string[] = [];
  readonly unanswered: string[] = [];
  readonly #target: TestScheduler;

  constructor(target: TestScheduler) {
    this.#target = target;
  }

  /** Attacks, one after the other, until then or until the scheduler's end. @param end On the monotonic clock. */
  async attack(random: Random, end: number): Promise<void> {
    while (performance.now() < end && this.#target.program.alive) {
      const name = random.weighted(WEIGHTS);
      this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
      const answers: Answers = await ATTACKS[name](random, this.#target);
      for (const { what, code, details, unanswered } of answers) {
        const found = unanswered ? "UNANSWERED" : (status[code] ?? String(code));
        this.#count(what, found);
        const about = `${name}/${what}: ${found} ${details}`.slice(0, 600);
        if (unanswered) this.unanswered.push(about);
        else if (OUR_FAULTS.has(code)) this.faults.push(about);
      }
    }
  }

  #count(what: string, found: string): void {
    const by = this.answers.get(what) ?? new Map<string, number>();
    this.answers.set(what, by);
    by.set(found, (by.get(found) ?? 0) + 1);
  }
}

/** Errors of workers, which the scheduler logs. */
const OF_WORKERS: ReadonlySet<unknown> = new Set([
  ...["worker.fatal", "worker.launch_failed", "worker.startup_timeout"],
  ...["worker.oom_killed", "worker.killed", "worker.exited"],
]);

/** Error lines are faults of the scheduler, except for fatal reports of workers. */
export function isFault(line: LogLine): boolean {
  return line.level === "error" && !OF_WORKERS.has(line.event);
}

export function described({ event, method, error, loop }: LogLine): string {
  return JSON.stringify({ event, method, loop, error }).slice(0, 600);
}
