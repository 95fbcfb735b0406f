/** What is known of the container of a launch, with its output. */
import type { Redactor } from "@muster/common/text/redact";
import type { Clock } from "../clock.ts";
import type { ObservedLaunch } from "../driver.ts";
import { containerName, LABELS } from "./container.ts";
import type { ContainerFacts, DockerEngine } from "./engine.ts";
import { type ContainerState, redactorOf, stateOf } from "./observation.ts";
import { ContainerOutput } from "./output.ts";

/** Lines that are read at first. */
const TAIL_LINES = 500;

/** The output of a start that takes longer than its timeout is followed for this longer, milliseconds. */
const FOLLOW_LONGER_MS = 60_000;

/** Characters of the output of a start that goes on: enough for the last failed dial. */
const RUNNING_TAIL = 4_096;

/** A container of the engine. */
export class KnownContainer {
  readonly #launchId: string;
  readonly #clock: Clock;
  readonly #onFirstOutput: () => void;
  #version = "";
  #facts: ContainerFacts | undefined;
  #state: ContainerState | undefined;
  #redactor: Redactor | undefined;
  #output = new ContainerOutput();
  #following: AbortController | undefined;

  constructor(launchId: string, clock: Clock, onFirstOutput: () => void) {
    this.#launchId = launchId;
    this.#clock = clock;
    this.#onFirstOutput = onFirstOutput;
  }

  /** Which state is known. */
  get version(): string {
    return this.#version;
  }

  get facts(): ContainerFacts {
    if (!this.#facts) throw new Error(`the container of ${this.#launchId} was never looked at`);
    return this.#facts;
  }

  get runs(): boolean {
    return this.#state?.phase === "running";
  }

  /** Its process was started, or the engine refused to start it. */
  get wasStarted(): boolean {
    return this.#state !== undefined && this.#state.phase !== "pending";
  }

  /** Its output is read as it is written. */
  get followed(): boolean {
    return this.#following !== undefined;
  }

  /** Takes its new state; of one that has ended, with all of its output. @throws EngineUnreachable */
  async update(version: string, facts: ContainerFacts, engine: DockerEngine): Promise<void> {
    this.#facts = facts;
    this.#redactor = redactorOf(facts);
    this.#state = stateOf(facts);
    if (this.runs && !this.#following && this.#isStarting(facts)) this.#follow(engine);
    if (this.#state.phase === "ended") await this.#readEnd(engine);
    // Last: what failed before is done again.
    this.#version = version;
  }

  /** How the launch stands. @param hangs Why it is not over although it was killed; empty for none. */
  observe(hangs: string): ObservedLaunch {
    if (!this.#state) throw new Error(`the container of ${this.#launchId} was never looked at`);
    if (this.#following && this.#facts && !this.#isStarting(this.#facts)) this.close();
    const { bytes, changedMs, tail } = this.#output;
    const text = this.#redactor?.text(tail) ?? "";
    return {
      launchId: this.#launchId,
      ...this.#state,
      ...(hangs ? { reason: "StopHangs", detail: hangs } : {}),
      signal: "",
      outputBytes: bytes,
      outputAgeMs: changedMs === undefined ? undefined : Math.max(0, this.#clock.now() - changedMs),
      logTail: this.#state.phase === "ended" ? text : this.#following ? text.slice(-RUNNING_TAIL) : "",
    };
  }

  /** Reads no more output. */
  close(): void {
    this.#following?.abort();
    this.#following = undefined;
  }

  /** Output is about the start; that of a worker that has long been ready is read when it ends. */
  #isStarting({ State, Config }: ContainerFacts): boolean {
    const timeoutMs = Number(Config.Labels[LABELS.startupTimeout] ?? 0);
    return this.#clock.now() < Date.parse(State.StartedAt) + timeoutMs + FOLLOW_LONGER_MS;
  }

  #follow(engine: DockerEngine): void {
    const cancel = new AbortController();
    const output = new ContainerOutput();
    this.#output = output;
    this.#following = cancel;
    const read = async () => {
      for await (const chunk of engine.following(containerName(this.#launchId), TAIL_LINES, cancel.signal)) {
        const first = output.bytes === 0;
        output.add(chunk);
        if (first && output.bytes > 0) this.#onFirstOutput();
      }
    };
    const over = () => {
      if (this.#following !== cancel) return;
      this.#following = undefined;
      this.#version = "";
    };
    // An end and a failure of the engine are seen by the next look, which begins anew.
    read().then(over, over);
  }

  async #readEnd(engine: DockerEngine): Promise<void> {
    this.close();
    const output = new ContainerOutput();
    output.add(await engine.output(containerName(this.#launchId), TAIL_LINES));
    // What was followed may have been more than the lines that are read here.
    output.bytes = Math.max(output.bytes, this.#output.bytes);
    this.#output = output;
  }
}
