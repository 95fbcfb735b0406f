/** Pulls of images: one for all launches that wait for the same image. */

import type { Clock } from "../clock.ts";
import type { Environment } from "../environment.ts";
import { type PullFailure, pullFailure } from "../pull-failure.ts";
import { credentialsFor } from "./credentials.ts";
import type { DockerEngine, PullLine } from "./engine.ts";
import { EngineRefusal } from "./engine-errors.ts";

/** How far a pull is. */
export interface PullProgress {
  readonly bytes: number;
  /** When the bytes last grew, milliseconds since the epoch; undefined while there are none. */
  readonly changedMs: number | undefined;
  readonly detail: string;
}

/** A registry's answer, or none. */
export class PullError extends Error {
  readonly failure: PullFailure;

  constructor(message: string) {
    super(message);
    this.failure = pullFailure(message);
  }
}

interface Pull {
  readonly ended: Promise<void>;
  readonly cancel: AbortController;
  readonly listeners: Set<(progress: PullProgress) => void>;
}

const MB = 1_000_000;

/** The pulls that run now. */
export class Pulls {
  readonly #env: Environment;
  readonly #clock: Clock;
  readonly #running = new Map<string, Pull>();

  /** @param env Environment of the launcher, for the credentials of registries. */
  constructor(env: Environment, clock: Clock) {
    this.#env = env;
    this.#clock = clock;
  }

  /**
   * Resolves when the engine has the image, or when `signal` aborts. A pull that nothing waits for is given up.
   *
   * @throws PullError, EngineUnreachable
   */
  async pull(
    engine: DockerEngine,
    image: string,
    onProgress: (progress: PullProgress) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const pull = this.#running.get(image) ?? this.#begin(engine, image);
    pull.listeners.add(onProgress);
    const left = new Promise<void>((resolve) =>
      signal.addEventListener("abort", () => resolve(), { once: true }),
    );
    try {
      if (!signal.aborted) await Promise.race([pull.ended, left]);
    } finally {
      pull.listeners.delete(onProgress);
      if (pull.listeners.size === 0) {
        pull.cancel.abort();
        this.#running.delete(image);
      }
    }
  }

  #begin(engine: DockerEngine, image: string): Pull {
    const cancel = new AbortController();
    const listeners: Pull["listeners"] = new Set();
    const ended = this.#run(engine, image, cancel.signal, (progress) => {
      for (const listener of listeners) listener(progress);
    });
    // Nothing may wait for it any more when it fails.
    ended.catch(() => undefined);
    const pull = { ended, cancel, listeners };
    this.#running.set(image, pull);
    return pull;
  }

  async #run(
    engine: DockerEngine,
    image: string,
    signal: AbortSignal,
    onProgress: (progress: PullProgress) => void,
  ): Promise<void> {
    const { credentials, fault } = await credentialsFor(image, this.#env);
    const failed = (message: string) => new PullError(fault ? `${message} (${fault})` : message);
    const progress = new Progress(image, this.#clock);
    onProgress(progress.now);
    try {
      for await (const line of engine.pull(image, credentials, signal)) {
        if (line.error !== undefined) throw failed(line.error);
        if (progress.take(line)) onProgress(progress.now);
      }
    } catch (error) {
      throw error instanceof EngineRefusal ? failed(error.message) : error;
    }
  }
}

/** Sums up the layers of an image. */
class Progress {
  readonly #image: string;
  readonly #clock: Clock;
  readonly #layers = new Map<string, { current: number; total: number }>();
  #changedMs: number | undefined;

  constructor(image: string, clock: Clock) {
    this.#image = image;
    this.#clock = clock;
  }

  /** @returns Whether it is further than before. */
  take({ id, status, progressDetail }: PullLine): boolean {
    if (id === undefined || status === undefined) return false;
    const { current, total } = this.#layers.get(id) ?? { current: 0, total: 0 };
    const layer =
      status === "Downloading"
        ? { current: progressDetail?.current ?? current, total: progressDetail?.total ?? total }
        : /^(Download complete|Pull complete|Verifying Checksum)$/.test(status)
          ? { current: Math.max(current, total), total }
          : undefined;
    if (!layer) return false;
    this.#layers.set(id, layer);
    if (layer.current <= current) return false;
    this.#changedMs = this.#clock.now();
    return true;
  }

  get now(): PullProgress {
    let [bytes, total] = [0, 0];
    for (const layer of this.#layers.values()) {
      bytes += layer.current;
      total += layer.total;
    }
    const parts = total > 0 ? `: ${(bytes / MB).toFixed(1)} of ${(total / MB).toFixed(1)} MB` : "";
    return { bytes, changedMs: this.#changedMs, detail: `pulling ${this.#image}${parts}` };
  }
}
