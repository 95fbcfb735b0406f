/** One launch on its way from its order to a started container. */
import { DockerPullPolicy } from "@muster/protocol";
import type { ContainerCreateOptions } from "dockerode";
import type { Clock } from "../clock.ts";
import type { Claims } from "./claims.ts";
import { containerName, LABELS } from "./container.ts";
import type { ContainerFacts, DockerEngine } from "./engine.ts";
import { EngineRefusal, EngineUnreachable } from "./engine-errors.ts";
import { stateOf } from "./observation.ts";
import { PullError, type PullProgress, type Pulls } from "./pulls.ts";

/** Delays between tries, doubling from the first to the last, milliseconds. */
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;

/** An engine that could not be reached is asked again after this at the latest, milliseconds. */
const UNREACHABLE_RETRY_MS = 5_000;

/**
 * The engine has the name and shows no container of it: it makes one for a call that is still under way, such as that of a
 * launcher that was killed, or removes one.
 */
class NameReserved extends Error {
  override readonly name = "NameReserved";
}

/** When the image is pulled. */
export type PullPolicy = "missing" | "always" | "never";

/** What is known of a start. */
export interface StartState {
  readonly phase: "pending" | "ended";
  readonly reason: string;
  readonly detail: string;
  /** Of the image that is pulled. */
  readonly bytes: number;
  readonly changedMs: number | undefined;
}

/** What a start works with. */
export interface StartParts {
  readonly engine: () => Promise<DockerEngine>;
  readonly pulls: Pulls;
  readonly claims: Claims;
  readonly clock: Clock;
  readonly launcherId: string;
  /** It is in another state. */
  readonly onChange: () => void;
}

/** What is started. */
export interface StartOrder {
  readonly launchId: string;
  readonly image: string;
  readonly policy: PullPolicy;
  readonly container: ContainerCreateOptions;
}

/** Ends with a container that was started, as `ended`, or because it was aborted. */
export class Start {
  readonly #order: StartOrder;
  readonly #parts: StartParts;
  readonly #abort = new AbortController();
  #state: StartState = { phase: "pending", reason: "", detail: "", bytes: 0, changedMs: undefined };
  #running = true;

  constructor(order: StartOrder, parts: StartParts) {
    this.#order = order;
    this.#parts = parts;
  }

  get state(): StartState {
    return this.#state;
  }

  /** It may still make or start a container. */
  get running(): boolean {
    return this.#running;
  }

  /** Nothing is made or started after what the engine was asked already. */
  abort(): void {
    this.#abort.abort();
  }

  /** Never throws: what goes wrong is its state. */
  async run(): Promise<void> {
    const { clock } = this.#parts;
    const { signal } = this.#abort;
    let delayMs = FIRST_RETRY_MS;
    while (!signal.aborted) {
      try {
        await this.#attempt();
        break;
      } catch (error) {
        if (!this.#retries(error)) break;
        const unreachable = error instanceof EngineUnreachable;
        await clock.sleep(unreachable ? Math.min(delayMs, UNREACHABLE_RETRY_MS) : delayMs, signal);
        delayMs = Math.min(LAST_RETRY_MS, 2 * delayMs);
      }
    }
    this.#running = false;
    this.#parts.onChange();
  }

  async #attempt(): Promise<void> {
    const { claims, launcherId } = this.#parts;
    const { launchId, container } = this.#order;
    const { signal } = this.#abort;
    const engine = await this.#parts.engine();
    const name = containerName(launchId);
    if (!claims.has(launchId)) {
      await this.#haveImage(engine);
      if (signal.aborted) return;
      this.#set("pending", "", "its container is being made");
      if (!(await engine.create(container))) {
        const taken = await engine.inspect(name);
        if (!taken) throw new NameReserved();
        const { Labels } = taken.Config;
        if (Labels[LABELS.launcher] !== launcherId || Labels[LABELS.launch] !== launchId)
          return this.#set("ended", "EngineRefused", `a container of another owner has the name ${name}`);
      }
      claims.add(launchId);
    }
    if (signal.aborted) return;
    const facts = await engine.inspect(name);
    if (!facts) return this.#set("ended", "ContainerRemoved", "its container was removed");
    if (!wasStarted(facts)) await this.#start(engine, name);
  }

  async #start(engine: DockerEngine, name: string): Promise<void> {
    try {
      await engine.start(name);
    } catch (error) {
      if (!(error instanceof EngineRefusal)) throw error;
      // As a rule the engine keeps the refusal with the container, which then says it also after a restart.
      const facts = await engine.inspect(name);
      if (!facts || !wasStarted(facts)) throw error;
    }
  }

  async #haveImage(engine: DockerEngine): Promise<void> {
    const { image, policy } = this.#order;
    if (policy !== "always" && (await engine.hasImage(image))) return;
    if (policy === "never")
      throw new PullError(
        `no such image on the engine: ${image}; pull_policy is NO_PULL, so it is not pulled`,
      );
    const onProgress = ({ detail, bytes, changedMs }: PullProgress) => {
      // A further try without an answer yet says less than the failure of the last one.
      if (bytes === 0 && this.#state.reason !== "") return;
      this.#set("pending", "Pulling", detail, bytes, changedMs);
    };
    await this.#parts.pulls.pull(engine, image, onProgress, this.#abort.signal);
  }

  /** Takes a failure; true when another try may succeed. */
  #retries(error: unknown): boolean {
    if (error instanceof EngineUnreachable) {
      this.#set("pending", "EngineUnreachable", `the Docker engine cannot be reached: ${error.message}`);
      return true;
    }
    if (error instanceof NameReserved) {
      this.#set("pending", "", "a container of its name is being made or removed");
      return true;
    }
    if (!(error instanceof PullError)) {
      this.#set("ended", "EngineRefused", error instanceof Error ? error.message : String(error));
      return false;
    }
    const { failure, message } = error;
    if (failure === "not_found" || failure === "denied") {
      this.#set("ended", failure === "denied" ? "ImagePullDenied" : "ImageNotFound", message);
      return false;
    }
    this.#set("pending", failure === "unreachable" ? "RegistryUnreachable" : "ErrImagePull", message);
    return true;
  }

  #set(phase: StartState["phase"], reason: string, detail: string, bytes = 0, changedMs?: number): void {
    const before = this.#state;
    this.#state = { phase, reason, detail, bytes, changedMs };
    if (before.phase !== phase || before.reason !== reason) this.#parts.onChange();
  }
}

/** A start that failed counts: the engine has an error of it. */
function wasStarted(facts: ContainerFacts): boolean {
  return stateOf(facts).phase !== "pending";
}

/** The policy of a template; one that only a newer scheduler knows is taken for the default. */
export function pullPolicyOf(policy: DockerPullPolicy): PullPolicy {
  if (policy === DockerPullPolicy.ALWAYS) return "always";
  return policy === DockerPullPolicy.NO_PULL ? "never" : "missing";
}
