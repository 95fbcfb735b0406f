/** Runs a worker's file, and runs it anew when one of its files has changed. */
import { type ChildProcess, spawn } from "node:child_process";
import { relative } from "node:path";
import type { Environment } from "../config.ts";
import { ExitCode } from "../exit-codes.ts";
import type { Io, StopSignal } from "../io/io.ts";
import { FileWatch } from "./file-watch.ts";
import { nodeOptions } from "./node-options.ts";
import { syntaxFault } from "./syntax-check.ts";
import type { Loaded } from "./watch-preload.ts";

/** A worker that was asked to stop needs its drain timeout, then up to 2 s for handlers and 5 s for results. */
const AFTER_DRAIN_MS = 10_000;

/** How the worker is run. */
export interface DevOptions {
  /** Absolute path. */
  readonly file: string;
  readonly env: Environment;
  /** How long handlers may go on when the worker is reloaded. */
  readonly drainS: number;
}

/** One file, run until `muster worker dev` is ended. */
export class DevWorker {
  readonly #options: DevOptions;
  readonly #io: Io;
  readonly #watch: FileWatch;
  readonly #done = Promise.withResolvers<number>();
  #child: ChildProcess | undefined;
  /** Why the running process was asked to end. */
  #ending: "reload" | "stop" | undefined;
  #signals = 0;
  #cancelKill: (() => void) | undefined;

  constructor(options: DevOptions, io: Io) {
    this.#options = options;
    this.#io = io;
    this.#watch = new FileWatch(io.clock, (files) => void this.#changed(files));
    this.#watch.add(options.file);
  }

  /** Runs until a signal ends it; resolves with the exit code. */
  async run(): Promise<number> {
    const release = this.#io.onStop((signal) => this.#stop(signal));
    try {
      await this.#start();
      return await this.#done.promise;
    } finally {
      release();
      this.#watch.close();
    }
  }

  async #start(): Promise<void> {
    const { file, env, drainS } = this.#options;
    const fault = await syntaxFault(file);
    if (this.#signals > 0) {
      this.#done.resolve(ExitCode.DONE);
      return;
    }
    if (fault !== undefined) {
      this.#say("error", `${fault}; the worker starts when that is corrected`);
      return;
    }
    this.#ending = undefined;
    const child = spawn(process.execPath, [...nodeOptions(file, "./watch-preload.ts"), file], {
      env: { ...env, WORKER_DRAIN_TIMEOUT_S: env.WORKER_DRAIN_TIMEOUT_S || String(drainS) },
      // A group of its own: the terminal's Ctrl-C reaches this process, which passes it on.
      detached: true,
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.#child = child;
    child.on("message", (message) => this.#watch.add((message as Loaded).path));
    child.once("error", (error) => this.#ended(`could not be started: ${error.message}`, 1));
    child.once("exit", (code, signal) =>
      this.#ended(`ended with ${signal ?? `exit code ${code}`}`, signal === null ? (code ?? 1) : 1),
    );
  }

  /** Some files have changed: reloads, unless one of them has a syntax error. */
  async #changed(files: readonly string[]): Promise<void> {
    if (this.#signals > 0) return;
    const faults = (await Promise.all(files.map(syntaxFault))).filter((fault) => fault !== undefined);
    const [fault] = faults;
    if (fault !== undefined) {
      const goesOn =
        this.#child === undefined
          ? "the worker starts when that is corrected"
          : "the worker goes on with the code from before";
      this.#say("error", `${fault}; ${goesOn}`);
      return;
    }
    const names = files.map((file) => relative(process.cwd(), file)).join(", ");
    if (this.#child === undefined) {
      this.#say("note", `${names} changed: starting the worker`);
      await this.#start();
    } else if (this.#ending === undefined) {
      this.#say("note", `${names} changed: the worker drains, then starts anew`);
      this.#end("reload", "SIGTERM");
    }
    // A process that ends already starts with what is there then.
  }

  #end(why: "reload" | "stop", signal: StopSignal): void {
    this.#ending = why;
    this.#signal(signal);
    const drainS = Number(this.#options.env.WORKER_DRAIN_TIMEOUT_S || this.#options.drainS);
    const limitMs = (Number.isFinite(drainS) ? drainS : this.#options.drainS) * 1000 + AFTER_DRAIN_MS;
    this.#cancelKill ??= this.#io.clock.after(limitMs, () => {
      this.#say("warning", `the worker has not ended within ${limitMs / 1000} s: killing it`);
      this.#signal("SIGKILL");
    });
  }

  #ended(how: string, code: number): void {
    this.#child = undefined;
    this.#cancelKill?.();
    this.#cancelKill = undefined;
    if (this.#ending === "stop") this.#done.resolve(code);
    else if (this.#ending === "reload") void this.#start();
    else
      this.#say(
        "note",
        `the worker ${how}; it starts again when one of its ${this.#watch.size} files changes`,
      );
  }

  #stop(signal: StopSignal): void {
    this.#signals += 1;
    if (this.#child === undefined) this.#done.resolve(ExitCode.DONE);
    else if (this.#signals === 1) this.#end("stop", signal);
    else {
      this.#ending = "stop";
      this.#signal("SIGKILL");
    }
  }

  /** Signals the process; SIGKILL reaches its own processes as well. */
  #signal(signal: NodeJS.Signals): void {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    try {
      process.kill(signal === "SIGKILL" ? -pid : pid, signal);
    } catch {
      // It has just ended.
    }
  }

  #say(kind: "error" | "warning" | "note", text: string): void {
    const { stderr } = this.#io;
    const colour = kind === "error" ? stderr.colors.red : stderr.colors.yellow;
    stderr.write(`${colour(`${kind}:`)} ${text}\n`);
  }
}
