/** Starts a worker's process, reports it to the scheduler, and reports its end. */
import { randomUUID } from "node:crypto";
import { constants, hostname } from "node:os";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { MemoryWatch } from "@muster/common/process/memory-watch";
import { Lines } from "@muster/common/text/lines";
import type { Redactor } from "@muster/common/text/redact";
import type { Clock } from "../clock.ts";
import type { Environment } from "../environment.ts";
import type { Notice } from "../notices/notice.ts";
import type { KillRequest } from "./kill-request.ts";
import type { OutputFile } from "./output/output-file.ts";
import { OutputTail } from "./output/output-tail.ts";
import { WorkerLog } from "./output/worker-log.ts";
import type { ChildEnd } from "./process/child.ts";
import { Child } from "./process/child.ts";
import type { ExitMessage, LaunchMessage } from "./reporter.ts";

/** Reported part of the end of the output. */
const TAIL_BYTES = 64 * 1024;

/** Longest line that is parsed: a `worker.fatal` with its escaped traceback of 64 KiB, and reserve. */
const MAX_LINE_BYTES = 256 * 1024;

/** Interval at which the cgroup of the process is read; a container runtime may move it after its start. */
const MEMORY_INTERVAL_MS = 200;

/** Exit codes of shells for a command that cannot be started. */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;

/** What all launches of a supervisor share. */
export interface LaunchOptions {
  readonly command: readonly string[];
  readonly env: Environment;
  readonly workerId: string;
  readonly pool: string;
  /** Id of the launch when something else has given it one; a new one for each start by default. */
  readonly launchId?: string;
  /** Folder in which the command starts; that of this process by default. */
  readonly directory?: string;
  readonly registerTimeoutMs: number;
  readonly stopTimeoutMs: number;
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  readonly redactor: Redactor;
  readonly clock: Clock;
  /** Called when the launch has a change to report. */
  readonly onChange: () => void;
  /** The log file of the output; undefined for none. */
  readonly file: OutputFile | undefined;
}

/** One start of the command, from the start to the end. */
export class Launch {
  readonly id: string;
  readonly child: Child;
  readonly #options: LaunchOptions;
  readonly #number: number;
  readonly #startedAtMs: number;
  readonly #tail = new OutputTail(TAIL_BYTES);
  readonly #lines = { stdout: new Lines(MAX_LINE_BYTES), stderr: new Lines(MAX_LINE_BYTES) };
  readonly #log: WorkerLog;
  readonly #memory: MemoryWatch;
  #memoryReadAtMs = 0;
  #stopRequested = false;
  #kill: KillRequest | undefined;
  #notice: { readonly notice: Notice; readonly atMs: number } | undefined;

  /** @param number 1 for the first start. */
  constructor(options: LaunchOptions, number: number) {
    const { clock, command, env, workerId, pool, stdout, stderr, stopTimeoutMs } = options;
    this.id = options.launchId ?? randomUUID();
    this.#options = options;
    this.#number = number;
    this.#startedAtMs = clock.monotonic();
    this.#log = new WorkerLog(() => clock.monotonic() - this.#startedAtMs);
    this.child = new Child({
      command,
      ...(options.directory === undefined ? {} : { directory: options.directory }),
      env: {
        ...env,
        MUSTER_LAUNCH_ID: this.id,
        MUSTER_SUPERVISOR_PID: String(process.pid),
        WORKER_ID: workerId,
        ...(pool === "" ? {} : { MUSTER_POOL: pool }),
      },
      stdout,
      stderr,
      stopTimeoutMs,
      clock,
      onOutput: (chunk, from) => this.#take(chunk, from),
    });
    this.#memory = new MemoryWatch(this.child.pid);
    this.#readMemory();
  }

  /** The current report. */
  describe(): LaunchMessage {
    this.#readMemory();
    return this.#message();
  }

  /** Passes a stop signal to the process. */
  stop(signal: NodeJS.Signals): void {
    this.#stopRequested = true;
    this.child.stop(signal);
  }

  /** Ends the process as an operator asked. */
  kill(request: KillRequest): void {
    this.#stopRequested = true;
    this.#kill = request;
    this.child.kill(request.graceMs);
  }

  /** The cloud has said something of the end of the machine. */
  noticed(notice: Notice): void {
    this.#notice = { notice, atMs: this.#options.clock.monotonic() };
  }

  /** Waits for the end; resolves with the exit report. */
  async end(): Promise<LaunchOutcome> {
    const ended = await this.child.ended;
    for (const from of ["stdout", "stderr"] as const) {
      for (const line of this.#lines[from].end()) this.#log.take(line);
    }
    this.#log.end();
    this.#options.file?.endLines();
    const ranForMs = this.#options.clock.monotonic() - this.#startedAtMs;
    const { code, signal, startError } = ended;
    const failed = code !== 0;
    const evidence = failed ? this.#memoryEvidence(ended) : undefined;
    const { redactor } = this.#options;
    return {
      failed,
      startError,
      ranForMs,
      exitCode: exitCodeOf(ended),
      kill: this.#kill,
      message: {
        ...this.#message(),
        ...(code === null ? {} : { exitCode: code }),
        signal: signal ?? "",
        startError: startError?.message ?? "",
        outOfMemory: evidence !== undefined,
        outOfMemoryEvidence: redactor.text(evidence ?? ""),
        logTail: this.#logTail(),
        runDuration: durationFromMs(Math.round(ranForMs)),
        stopRequested: this.#stopRequested,
        killReason: this.#kill?.reason ?? "",
        ...(this.#log.fatal === undefined
          ? {}
          : {
              fatal: {
                ...this.#log.fatal,
                exceptionMessage: redactor.text(this.#log.fatal.exceptionMessage),
                traceback: redactor.text(this.#log.fatal.traceback),
              },
            }),
      },
    };
  }

  #noticeMessage(): Pick<LaunchMessage, "notice"> {
    if (!this.#notice) return {};
    const { notice, atMs } = this.#notice;
    const { source, event, detail, endsInMs } = notice;
    const receivedMs = Math.max(0, Math.round(atMs - this.#startedAtMs));
    const end = endsInMs === undefined ? {} : { endAfter: durationFromMs(receivedMs + Math.round(endsInMs)) };
    return { notice: { source, event, detail, receiveAfter: durationFromMs(receivedMs), ...end } };
  }

  #message(): LaunchMessage {
    const { command, workerId, pool, registerTimeoutMs, redactor } = this.#options;
    return {
      launchId: this.id,
      workerId,
      pool,
      command: redactor.command(command),
      hostname: hostname(),
      pid: this.child.pid,
      supervisor: `muster run (pid ${process.pid})`,
      startNumber: this.#number,
      registerTimeout: durationFromMs(registerTimeoutMs),
      lastError: redactor.text(this.#log.lastError),
      ...this.#noticeMessage(),
      startupPhases: this.#log.phases.map(({ phase, outcome, elapsedMs, detail, attributes }) => ({
        phase,
        outcome,
        elapsed: durationFromMs(Math.round(elapsedMs)),
        detail: redactor.text(detail),
        attributes: Object.fromEntries(
          Object.entries(attributes).map(([name, value]) => [name, redactor.text(value)]),
        ),
      })),
    };
  }

  #take(chunk: Uint8Array, from: "stdout" | "stderr"): void {
    this.#tail.push(chunk);
    this.#options.file?.push(chunk, from);
    let changed = false;
    for (const line of this.#lines[from].push(chunk)) changed = this.#log.take(line) || changed;
    this.#readMemory();
    if (changed) this.#options.onChange();
  }

  /** The kernel sends SIGKILL, V8 aborts; a wrapper process may report either by its exit code. */
  #memoryEvidence({ code, signal }: ChildEnd): string | undefined {
    const killed = this.#memory.evidence();
    if (killed !== undefined && !this.#stopRequested) return killed;
    const crashed = signal !== null || (code ?? 0) > 128;
    return crashed && this.#log.heapFull !== "" ? `the runtime reported: ${this.#log.heapFull}` : undefined;
  }

  #readMemory(): void {
    const nowMs = this.#options.clock.monotonic();
    if (
      this.child.pid === 0 ||
      (this.#memoryReadAtMs > 0 && nowMs - this.#memoryReadAtMs < MEMORY_INTERVAL_MS)
    )
      return;
    this.#memoryReadAtMs = nowMs;
    this.#memory.look();
  }

  /** The end of the output with secrets masked; a mask may be longer than its secret, so it is cut again. */
  #logTail(): string {
    const text = new OutputTail(TAIL_BYTES);
    text.push(Buffer.from(this.#options.redactor.text(this.#tail.text())));
    return text.text();
  }
}

/** The end of a launch. */
export interface LaunchOutcome {
  readonly failed: boolean;
  readonly startError: NodeJS.ErrnoException | undefined;
  readonly ranForMs: number;
  /** Exit code of a supervisor that ends with this launch. */
  readonly exitCode: number;
  /** The request of an operator that ended it. */
  readonly kill: KillRequest | undefined;
  readonly message: ExitMessage;
}

function exitCodeOf({ code, signal, startError }: ChildEnd): number {
  if (startError !== undefined) return startError.code === "ENOENT" ? NOT_FOUND : NOT_EXECUTABLE;
  if (code !== null) return code;
  return 128 + (signal === null ? 0 : (constants.signals[signal] ?? 0));
}
