/** The Docker engine: the calls that the driver makes, each within a time. */
import type { Readable } from "node:stream";
import type Dockerode from "dockerode";
import type { Clock } from "../clock.ts";
import { LABELS } from "./container.ts";
import { EngineRefusal, EngineUnreachable, toEngineError } from "./engine-errors.ts";

/** An engine that does not answer a call within this is unreachable, milliseconds. */
const CALL_MS = 30_000;

/** Making and starting a container may take this: the first use of a large image or of a GPU is slow, milliseconds. */
const START_MS = 120_000;

/** Both streams of a container's output, with the time of each line. */
const OUTPUT = { stdout: true, stderr: true, timestamps: true } as const;

/** A container in the engine's list. */
export interface ListedContainer {
  readonly launchId: string;
  /** Changes when the container is another one, or in another state or health. */
  readonly version: string;
}

/** What the engine says of a container. */
export type ContainerFacts = Dockerode.ContainerInspectInfo;

/** A line of the stream of a pull. */
export interface PullLine {
  readonly id?: string;
  readonly status?: string;
  readonly error?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
}

/** How the library wants the credentials of a registry. */
export type Credentials =
  | Dockerode.AuthConfig
  | { readonly identitytoken: string; readonly serveraddress: string };

/** Every method throws EngineUnreachable, and EngineRefusal where it is not caught. */
export class DockerEngine {
  readonly #docker: Dockerode;
  readonly #clock: Clock;

  private constructor(docker: Dockerode, clock: Clock) {
    this.#docker = docker;
    this.#clock = clock;
  }

  /** The engine of `DOCKER_HOST`, or that of this machine. The library is loaded here: it is large. */
  static async load(clock: Clock): Promise<DockerEngine> {
    const { default: Docker } = await import("dockerode");
    return new DockerEngine(new Docker(), clock);
  }

  /** Identity of the engine's data. */
  async id(): Promise<string> {
    const { ID } = (await this.#call(() => this.#docker.info())) as { ID?: string };
    return ID ?? "";
  }

  /** Containers of a launcher, whatever their state. */
  async list(launcherId: string): Promise<ListedContainer[]> {
    const all = await this.#call((abortSignal) =>
      this.#docker.listContainers({
        ...{ all: true, filters: { label: [`${LABELS.launcher}=${launcherId}`] }, abortSignal },
      }),
    );
    return all.flatMap(({ Id, Labels, State, Status }) => {
      const launchId = Labels[LABELS.launch];
      const [health = ""] = /\((healthy|unhealthy|health: starting)\)/.exec(Status) ?? [];
      return launchId ? [{ launchId, version: `${Id} ${State} ${health}` }] : [];
    });
  }

  /** Undefined when there is none of this name. */
  async inspect(name: string): Promise<ContainerFacts | undefined> {
    return this.#unless(404, (abortSignal) => this.#docker.getContainer(name).inspect({ abortSignal }));
  }

  /** @returns False when the name is taken. @throws EngineRefusal with 404 when the engine has not the image. */
  async create(options: Dockerode.ContainerCreateOptions): Promise<boolean> {
    const made = await this.#unless(
      409,
      (abortSignal) => this.#docker.createContainer({ ...options, abortSignal }),
      START_MS,
    );
    return made !== undefined;
  }

  /** Starts a container that was made and never started. One that runs is left as it is. */
  async start(name: string): Promise<void> {
    await this.#unless(
      304,
      (abortSignal) => this.#docker.getContainer(name).start({ abortSignal }),
      START_MS,
    );
  }

  /** Sends a signal; nothing when it has ended. */
  async kill(name: string, signal: string): Promise<void> {
    const container = this.#docker.getContainer(name);
    await this.#unless(404, () =>
      this.#unless(409, (abortSignal) => container.kill({ signal, abortSignal })),
    );
  }

  /** A paused container takes no signal. */
  async unpause(name: string): Promise<void> {
    await this.#call((abortSignal) => this.#docker.getContainer(name).unpause({ abortSignal }));
  }

  /** Removes a container with its anonymous volumes, whatever it does. */
  async remove(name: string): Promise<void> {
    const container = this.#docker.getContainer(name);
    // 409: the removal has begun.
    await this.#unless(404, () =>
      this.#unless(409, (abortSignal) => container.remove({ force: true, v: true, abortSignal })),
    );
  }

  async hasImage(image: string): Promise<boolean> {
    const found = await this.#unless(404, (abortSignal) =>
      // The types of the library lack the signal.
      this.#docker.getImage(image).inspect({ abortSignal } as object),
    );
    return found !== undefined;
  }

  /** Pulls an image; the lines of its progress. The engine gives up the pull when `abortSignal` aborts. */
  async *pull(
    image: string,
    credentials: Credentials | undefined,
    abortSignal: AbortSignal,
  ): AsyncGenerator<PullLine, void> {
    try {
      const options = { ...fromReference(image), abortSignal };
      const stream = await this.#docker.createImage((credentials ?? {}) as Dockerode.AuthConfig, options);
      for await (const line of lines(stream)) yield JSON.parse(line) as PullLine;
    } catch (error) {
      throw toEngineError(error);
    }
  }

  /** The end of a container's output, in the engine's frames. */
  async output(name: string, tail: number): Promise<Buffer> {
    const container = this.#docker.getContainer(name);
    return this.#call((abortSignal) => container.logs({ ...OUTPUT, tail, follow: false, abortSignal }));
  }

  /** The same, then what the container writes until it ends. */
  async *following(name: string, tail: number, abortSignal: AbortSignal): AsyncGenerator<Buffer, void> {
    try {
      const container = this.#docker.getContainer(name);
      const stream = await container.logs({ ...OUTPUT, tail, follow: true, abortSignal });
      for await (const chunk of stream as Readable) yield chunk as Buffer;
    } catch (error) {
      throw toEngineError(error);
    }
  }

  /** Yields whenever something happens to a container of the launcher. */
  async *events(launcherId: string, abortSignal: AbortSignal): AsyncGenerator<void, void> {
    try {
      const filters = { type: ["container"], label: [`${LABELS.launcher}=${launcherId}`] };
      const stream = await this.#docker.getEvents({ filters: JSON.stringify(filters), abortSignal });
      for await (const _ of lines(stream)) yield;
    } catch (error) {
      throw toEngineError(error);
    }
  }

  async #call<T>(call: (abortSignal: AbortSignal) => Promise<T>, withinMs = CALL_MS): Promise<T> {
    const late = new AbortController();
    const cancel = this.#clock.after(withinMs, () => late.abort());
    try {
      return await call(late.signal);
    } catch (error) {
      if (late.signal.aborted) throw new EngineUnreachable(`it did not answer within ${withinMs / 1_000} s`);
      throw toEngineError(error);
    } finally {
      cancel();
    }
  }

  /** The answer; undefined for a status that only says that nothing is to do. */
  async #unless<T>(
    status: number,
    call: (abortSignal: AbortSignal) => Promise<T>,
    withinMs = CALL_MS,
  ): Promise<T | undefined> {
    try {
      return await this.#call(call, withinMs);
    } catch (error) {
      if (error instanceof EngineRefusal && error.status === status) return undefined;
      throw error;
    }
  }
}

/** The image as the engine's API wants it: without a tag it would pull all of them. */
function fromReference(image: string): { fromImage: string; tag?: string } {
  if (image.includes("@")) return { fromImage: image };
  const tag = /:([A-Za-z0-9_][A-Za-z0-9._-]*)$/.exec(image)?.[1];
  return tag === undefined
    ? { fromImage: image, tag: "latest" }
    : { fromImage: image.slice(0, -tag.length - 1), tag };
}

async function* lines(stream: NodeJS.ReadableStream): AsyncGenerator<string, void> {
  let rest = "";
  stream.setEncoding("utf8");
  for await (const chunk of stream) {
    const parts = `${rest}${String(chunk)}`.split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) if (part.trim() !== "") yield part;
  }
  if (rest.trim() !== "") yield rest;
}
