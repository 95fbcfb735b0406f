/** What the driver knows of one launch, and how it reports it. */
import { Redactor } from "@muster/common/text/redact";
import type { LaunchOrder, ObservedLaunch } from "../driver.ts";
import type { Environment } from "../environment.ts";
import { type Pod, STARTUP_ANNOTATION } from "./pod.ts";
import { goneView, keptBy, type PodView, type PodWarning, viewOf } from "./pod-status.ts";
import type { Refusal } from "./refusal.ts";

/** Characters of output that are reported. */
const TAIL_CHARACTERS = 16 * 1024;

/** What was read of the output. */
export interface Output {
  readonly tail: string;
  readonly bytes: number;
  /** When its last line was written, milliseconds since the epoch; undefined for none. */
  readonly lastMs: number | undefined;
  /** Why it could not be read; empty when it was. */
  readonly fault: string;
}

const NO_OUTPUT: Output = { tail: "", bytes: 0, lastMs: undefined, fault: "" };

/** A launch. */
export class KnownPod {
  readonly launchId: string;
  readonly namespace: string;
  /** Undefined after a restart, until the scheduler sends it again. */
  order: LaunchOrder | undefined;
  /** Its last state. */
  pod: Pod | undefined;
  /** The pod is not there any more. */
  gone = false;
  /** It was to stop before there was a pod, or there is none of its name. */
  never = false;
  /** Why it has no pod, or why its pod cannot start. */
  refusal: Refusal | undefined;
  warning: PodWarning | undefined;
  output: Output = NO_OUTPUT;
  /** The end of the output was read, or there is none. */
  outputComplete = false;
  /** It has a Secret of its own. */
  hasSecret = false;
  /** When its process was to have ended, by the monotonic clock; undefined while it is not to stop. */
  killAtMs: number | undefined;
  /** Why its stop does not succeed; empty while it may. */
  stuck = "";
  /** It was removed although its node had not confirmed the end. */
  forced = false;
  #redactor: Redactor;

  constructor(launchId: string, namespace: string, env: Environment) {
    this.launchId = launchId;
    this.namespace = namespace;
    this.#redactor = new Redactor(env);
  }

  /** Its environment has the values that are masked. */
  ordered(order: LaunchOrder): void {
    this.order = order;
    const hidden = Object.fromEntries(
      order.secretNames.map((name) => [`SECRET_${name}`, order.env[name]] as const),
    );
    this.#redactor = new Redactor({ ...order.env, ...hidden });
  }

  get view(): PodView | undefined {
    if (!this.pod) return undefined;
    return this.gone ? goneView(this.pod, this.warning) : viewOf(this.pod, this.warning);
  }

  get hasEnded(): boolean {
    return this.view ? this.view.phase === "ended" : this.never || this.refusal?.final === true;
  }

  /** Its output may still be read: a node has or had it. */
  get hasNode(): boolean {
    return this.pod?.spec?.nodeName !== undefined && !this.gone;
  }

  /** Until when it counts as starting, milliseconds since the epoch. */
  get startsUntilMs(): number {
    const { metadata } = this.pod ?? {};
    const seconds = Number(metadata?.annotations?.[STARTUP_ANNOTATION] ?? 0);
    return Date.parse(metadata?.creationTimestamp ?? "") + seconds * 1_000;
  }

  /** @param nowMs The machine's clock. */
  observed(nowMs: number): ObservedLaunch {
    const { launchId, output, refusal } = this;
    const { message = "", ...view } = this.view ?? this.#withoutPod();
    const pendingRefusal = view.phase === "pending" && refusal ? refusal : undefined;
    const unread = output.tail === "" && message === "" ? output.fault : "";
    const notes = [
      pendingRefusal?.detail ?? view.detail,
      view.phase === "ended" ? "" : this.stuck,
      this.forced
        ? "its node did not confirm the end: it was removed by force, and its process may still run"
        : "",
      view.phase === "ended" && view.reason !== "StartError" ? unread : "",
    ];
    return {
      ...view,
      launchId,
      reason: (pendingRefusal?.reason ?? view.reason).slice(0, 100),
      detail: this.#redactor.text(notes.filter(Boolean).join("; ")).slice(0, 2_000),
      outputBytes: Math.max(output.bytes, output.tail.length, message.length),
      outputAgeMs: output.lastMs === undefined ? undefined : Math.max(0, nowMs - output.lastMs),
      logTail: this.#redactor.text(output.tail || message).slice(-TAIL_CHARACTERS),
    };
  }

  /** What keeps its pod although it is to be gone. */
  get whyStuck(): string {
    const kept = this.pod ? keptBy(this.pod) : "";
    return kept ? `${kept}; remove it when what it waits for is over` : "its node has not confirmed the end";
  }

  #withoutPod(): PodView {
    const ended = this.never || this.refusal?.final === true;
    return {
      phase: ended ? "ended" : "pending",
      reason: this.refusal?.reason ?? (this.never ? "NotFound" : ""),
      detail: this.refusal?.detail ?? (this.never ? "no pod was made" : "its pod is being made"),
      ...{ exitCode: undefined, signal: "", outOfMemory: false, message: "" },
    };
  }
}
