/** The driver of hooks: programs of the operator that start, stop and list workers wherever they run. */

import { signalGroup } from "@muster/common/process/process-group";
import type { DriverContext, LaunchDriver, LaunchOrder, ObservedLaunch } from "../driver.ts";
import { identify, lives } from "../process/launch-folder.ts";
import { AnswerError, type ListedLaunch, readList, readStart } from "./contract.ts";
import { callOf } from "./hook-call.ts";
import { HookMasks } from "./hook-masks.ts";
import {
  type Hook,
  type HookLaunch,
  HookRecords,
  observed,
  type SeenLaunch,
  seenAs,
} from "./hook-records.ts";
import type { Live } from "./live-launch.ts";
import { Slots } from "./slots.ts";

/** Calls of `start` and `stop` at once. */
const CALLS_AT_ONCE = 16;

/** A call of `stop` that failed, or after which the worker still runs, is repeated after this, doubling; milliseconds. */
const FIRST_STOP_AGAIN_MS = 1_000;
const LAST_STOP_AGAIN_MS = 60_000;

/** While something is to end, `list` is called at least this often, milliseconds. */
const STOPPING_LIST_MS = 2_000;

/** A launch that was started and is missing in so many answers of `list` in a row has ended. */
const MISSING_LISTS = 2;

/** A launcher that stops lets calls of `start` and `stop` finish for this long, milliseconds. */
const CLOSE_MS = 10_000;

/** Calls the hooks that pools name. What it knows is in its folder and in the answers of `list`. */
export class HookDriver implements LaunchDriver {
  readonly #context: DriverContext;
  readonly #records: HookRecords;
  readonly #live = new Map<string, Live>();
  readonly #hooks = new Map<string, Hook>();
  /** The loop of `list` calls of each hook, and what ends its wait. */
  readonly #lists = new Map<string, { wake: AbortController; readonly run: Promise<void> }>();
  /** Ended launches that were forgotten and that `list` still shows. */
  readonly #forgotten = new Set<string>();
  readonly #slots = new Slots(CALLS_AT_ONCE);
  readonly #closing = new AbortController();
  readonly #killing = new AbortController();
  readonly #work = new Set<Promise<void>>();
  #changed = new Set<string>();
  #wake = new AbortController();
  readonly #masks: HookMasks;

  constructor(context: DriverContext) {
    this.#context = context;
    this.#masks = new HookMasks(context.env);
    this.#records = new HookRecords(context.folder);
    for (const hook of this.#records.hooks()) this.#hooks.set(hook.id, hook);
    for (const launch of this.#records.launches()) {
      // A call of an earlier launcher: its answer is lost, and what it has done is undone.
      if (launch.call && lives(launch.call)) signalGroup(launch.call.pid, "SIGKILL");
      this.#add(launch);
    }
    for (const hook of this.#hooks.values()) this.#watch(hook);
    for (const live of this.#live.values()) {
      if (live.launch.seen.phase === "ended") continue;
      if (live.launch.step === "starting")
        this.#fail(live, "`start` was interrupted: the launcher ended while it ran");
      else if (live.launch.step === "failed") this.#endSoon(live, 0);
    }
  }

  async launch(order: LaunchOrder): Promise<void> {
    const { engine, launchId, secretSources } = order;
    if (engine.case !== "hook") throw new TypeError(`the driver hook received an order for ${engine.case}`);
    if (this.#live.has(launchId)) return;
    const { command, settings, timeout, listInterval } = engine.value;
    const hook = this.#records.keepHook({
      ...{ command, settings },
      timeoutMs: Number(timeout?.seconds ?? 60n) * 1_000 + (timeout?.nanos ?? 0) / 1e6,
      listIntervalMs: Number(listInterval?.seconds ?? 10n) * 1_000 + (listInterval?.nanos ?? 0) / 1e6,
    });
    this.#hooks.set(hook.id, hook);
    const launch: HookLaunch = {
      ...{ launchId, hookId: hook.id, step: "starting", handle: "", secretSources },
      seen: seenAs("pending", "Starting", "`start` is being called"),
    };
    if (!this.#records.claim(launch)) return;
    this.#watch(hook);
    const live = this.#add(launch);
    this.#run(this.#start(live, hook, order));
  }

  async stop(launchId: string, { graceMs }: { readonly graceMs: number }): Promise<void> {
    let live = this.#live.get(launchId);
    if (!live) {
      const launch: HookLaunch = {
        ...{ launchId, hookId: "", step: "failed", handle: "", secretSources: [] },
        seen: seenAs("ended", "NotFound", "it was never started here"),
      };
      this.#records.claim(launch);
      live = this.#add(launch);
    }
    if (live.launch.seen.phase !== "ended") this.#endSoon(live, graceMs);
    this.#report(launchId);
  }

  async list(): Promise<ObservedLaunch[]> {
    return [...this.#live.values()].map(({ launch }) => observed(launch));
  }

  async *events(): AsyncIterable<ObservedLaunch> {
    for (const launchId of this.#live.keys()) this.#changed.add(launchId);
    while (!this.#closing.signal.aborted) {
      const changed = this.#changed;
      this.#changed = new Set();
      this.#wake = new AbortController();
      for (const launchId of changed) {
        const live = this.#live.get(launchId);
        if (live) yield observed(live.launch);
      }
      if (this.#changed.size === 0) await aborted(AbortSignal.any([this.#wake.signal, this.#closing.signal]));
    }
  }

  async forget(launchId: string): Promise<void> {
    const live = this.#live.get(launchId);
    if (live && live.launch.seen.phase !== "ended") return;
    this.#live.delete(launchId);
    this.#masks.forget(launchId);
    this.#forgotten.add(launchId);
    this.#records.forget(launchId);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    const done = new AbortController();
    const kill = this.#context.clock.sleep(CLOSE_MS, done.signal).then(() => this.#killing.abort());
    await Promise.all([...this.#work, ...[...this.#lists.values()].map(({ run }) => run)]);
    done.abort();
    await kill;
  }

  #add(launch: HookLaunch): Live {
    const live: Live = { launch, missing: 0, startedAt: 0, stopBy: undefined, stopping: false };
    this.#live.set(launch.launchId, live);
    this.#report(launch.launchId);
    return live;
  }

  async #start(live: Live, hook: Hook, order: LaunchOrder): Promise<void> {
    const { launchId, pool, workerId, command, env, secretNames, startupTimeoutMs } = order;
    this.#masks.add(launchId, env, secretNames);
    using _slot = await this.#slots.take();
    if (live.stopBy !== undefined || this.#closing.signal.aborted)
      return this.#end(live, "NotStarted", "it was to stop before `start` was called");
    const input = {
      ...{ launch_id: launchId, pool, worker_id: workerId, command, env, secret_names: secretNames },
      startup_timeout_s: startupTimeoutMs / 1_000,
    };
    const result = await callOf(this.#context, hook, "start", input, this.#killing.signal, (pid) =>
      this.#update(live, { call: identify(pid) }),
    );
    if (!result.ok) {
      const fault = this.#masks.text(live.launch, result.fault);
      // Nothing has run, so there is nothing to undo.
      if (result.neverRan) return this.#end(live, "HookFailed", `\`start\` ${fault}`);
      return this.#fail(live, `\`start\` ${fault}`);
    }
    try {
      const { handle, detail } = readStart(result.stdout);
      const shown = this.#masks.text(live.launch, detail || (handle && `it is ${handle}`));
      live.startedAt = this.#context.clock.monotonic();
      this.#update(live, {
        ...{ step: "started", handle, call: undefined },
        seen: seenAs("pending", "Started", shown),
      });
    } catch (error) {
      if (!(error instanceof AnswerError)) throw error;
      return this.#fail(
        live,
        this.#masks.text(live.launch, `the answer to \`start\` breaks the contract: ${error.message}`),
      );
    }
    this.#lookNow(hook.id);
    if (live.stopBy !== undefined) this.#endSoon(live, Math.max(0, live.stopBy - live.startedAt));
  }

  /** A start whose result is unknown or bad: `stop` makes sure that nothing of it runs. */
  #fail(live: Live, detail: string): void {
    this.#update(live, { step: "failed", call: undefined, seen: seenAs("pending", "HookFailed", detail) });
    this.#context.log.write("error", "launcher.hook_failed", `${live.launch.launchId}: ${detail}`, {
      launch_id: live.launch.launchId,
    });
    this.#endSoon(live, 0);
  }

  /** It is to be gone after the grace; a repeated call may shorten it. */
  #endSoon(live: Live, graceMs: number): void {
    const by = this.#context.clock.monotonic() + graceMs;
    live.stopBy = Math.min(live.stopBy ?? by, by);
    // While `start` is called, its result decides what there is to stop.
    if (live.stopping || live.launch.step === "starting") return;
    const hook = this.#hooks.get(live.launch.hookId);
    if (!hook) return this.#end(live, "NotFound", "its hook is not known any more");
    live.stopping = true;
    this.#run(this.#stopUntilGone(live, hook));
  }

  async #stopUntilGone(live: Live, hook: Hook): Promise<void> {
    const { clock } = this.#context;
    let againMs = FIRST_STOP_AGAIN_MS;
    while (!this.#closing.signal.aborted && live.launch.seen.phase !== "ended") {
      const graceMs = Math.max(0, (live.stopBy ?? 0) - clock.monotonic());
      const { launchId, handle } = live.launch;
      const input = { launch_id: launchId, handle, grace_s: Math.ceil(graceMs / 1_000) };
      const result = await this.#slots.take().then(async (slot) => {
        using _slot = slot;
        return callOf(this.#context, hook, "stop", input, this.#killing.signal);
      });
      if (result.ok) {
        // Of a start that failed `list` need not know anything: `stop` is the proof.
        if (live.launch.step === "failed") return this.#end(live, "HookFailed", live.launch.seen.detail);
        this.#lookNow(hook.id);
        // Until its grace is over it may end by itself.
        if (graceMs > 0) await this.#untilGone(live, graceMs);
      } else {
        const fault = this.#masks.text(live.launch, result.fault);
        const before =
          live.launch.step === "failed" ? `${live.launch.seen.detail.split("; `stop`")[0]}; ` : "";
        const seen = { ...live.launch.seen, reason: "HookFailed", detail: `${before}\`stop\` ${fault}` };
        this.#update(live, { seen });
        this.#context.log.write("error", "launcher.hook_failed", `${launchId}: \`stop\` ${fault}`, {
          launch_id: launchId,
        });
      }
      if (graceMs > 0 && result.ok) continue;
      await this.#untilGone(live, againMs);
      againMs = Math.min(LAST_STOP_AGAIN_MS, againMs * 2);
    }
    live.stopping = false;
  }

  /** Resolves when the launch has ended or its grace is over, or after so long. */
  async #untilGone(live: Live, ms: number): Promise<void> {
    const { clock } = this.#context;
    const start = clock.monotonic();
    for (;;) {
      const grace = live.stopBy !== undefined && live.stopBy > start ? live.stopBy - start : ms;
      const left = Math.min(ms, grace) - (clock.monotonic() - start);
      if (left <= 0 || live.launch.seen.phase === "ended" || this.#closing.signal.aborted) return;
      await clock.sleep(Math.min(left, 250), this.#closing.signal);
    }
  }

  /** Calls `list` while the hook has launches, and once at the start. */
  #watch(hook: Hook): void {
    if (this.#lists.has(hook.id)) return;
    this.#lists.set(hook.id, { wake: new AbortController(), run: this.#listUntilClosed(hook) });
  }

  async #listUntilClosed(hook: Hook): Promise<void> {
    const { clock } = this.#context;
    let failing = "";
    // The map has its entry after this turn.
    await Promise.resolve();
    while (!this.#closing.signal.aborted) {
      const entry = this.#lists.get(hook.id);
      if (!entry) return;
      entry.wake = new AbortController();
      const began = clock.monotonic();
      const result = await callOf(this.#context, hook, "list", {}, this.#closing.signal);
      if (this.#closing.signal.aborted) return;
      let fault = result.ok ? "" : `\`list\` ${result.fault}`;
      if (result.ok) {
        try {
          this.#merge(hook, readList(result.stdout), began);
        } catch (error) {
          if (!(error instanceof AnswerError)) throw error;
          fault = `the answer to \`list\` breaks the contract: ${error.message}`;
        }
      }
      fault = this.#masks.launcherText(fault);
      if (fault !== "" && fault !== failing)
        this.#context.log.write("error", "launcher.hook_failed", `${hook.command.join(" ")}: ${fault}`, {});
      if (fault !== failing) this.#listFault(hook, fault);
      failing = fault;
      const own = [...this.#live.values()].filter(
        ({ launch }) => launch.hookId === hook.id && launch.seen.phase !== "ended",
      );
      if (own.length === 0 && fault === "") {
        // Nothing is left of it: another launch that names it brings it back.
        this.#lists.delete(hook.id);
        this.#hooks.delete(hook.id);
        this.#records.removeHook(hook.id);
        return;
      }
      const stopping = own.some(({ stopBy }) => stopBy !== undefined);
      const waitMs = stopping ? Math.min(hook.listIntervalMs, STOPPING_LIST_MS) : hook.listIntervalMs;
      await clock.sleep(waitMs, AbortSignal.any([entry.wake.signal, this.#closing.signal]));
    }
  }

  /** What `list` shows decides. */
  #merge(hook: Hook, listed: readonly ListedLaunch[], began: number): void {
    const shown = new Set(listed.map(({ launchId }) => launchId));
    for (const id of this.#forgotten) if (!shown.has(id)) this.#forgotten.delete(id);
    for (const each of listed) {
      const { launchId, state, handle } = each;
      if (state === "ended" && this.#forgotten.has(launchId)) continue;
      let live = this.#live.get(launchId);
      if (!live) {
        // Of an earlier state folder, or of another launcher: the scheduler decides whether it is to end.
        const launch: HookLaunch = {
          ...{ launchId, hookId: hook.id, step: "started", handle, secretSources: [] },
          seen: seenAs("pending", "", ""),
        };
        this.#records.claim(launch);
        live = this.#add(launch);
      }
      const { launch } = live;
      // The result of `start` comes first; a start that failed is undone, whatever it shows.
      if (launch.hookId !== hook.id || launch.step !== "started" || launch.seen.phase === "ended") continue;
      live.missing = 0;
      this.#update(live, { handle: handle || launch.handle, seen: this.#seenOf(launch, each) });
    }
    for (const live of this.#live.values()) {
      const { launch } = live;
      if (launch.hookId !== hook.id || launch.step !== "started" || launch.seen.phase === "ended") continue;
      if (shown.has(launch.launchId) || live.startedAt >= began) continue;
      live.missing++;
      if (live.missing >= MISSING_LISTS) this.#end(live, "Gone", "`list` does not show it any more");
    }
  }

  /** While `list` fails, the last state stands, and says so. */
  #listFault(hook: Hook, fault: string): void {
    for (const live of this.#live.values()) {
      const { launch } = live;
      if (launch.hookId !== hook.id || launch.step !== "started" || launch.seen.phase === "ended") continue;
      const { reason } = launch.seen;
      if (fault !== "") this.#update(live, { seen: { ...launch.seen, reason: "HookFailed", detail: fault } });
      else if (reason === "HookFailed")
        this.#update(live, { seen: { ...launch.seen, reason: "", detail: "" } });
    }
  }

  #seenOf(launch: HookLaunch, listed: ListedLaunch): SeenLaunch {
    const { state: phase, reason, detail, exitCode, signal, outOfMemory, outputBytes, outputAgeMs } = listed;
    return {
      ...{ phase, reason, exitCode, signal, outOfMemory, outputBytes, outputAgeMs },
      detail: this.#masks.text(launch, detail),
      logTail: this.#masks.text(launch, listed.logTail),
    };
  }

  #end(live: Live, reason: string, detail: string): void {
    this.#update(live, {
      call: undefined,
      seen: { ...live.launch.seen, phase: "ended", reason, detail },
    });
  }

  #update(live: Live, changes: Partial<HookLaunch>): void {
    const before = JSON.stringify(live.launch);
    live.launch = { ...live.launch, ...changes };
    if (JSON.stringify(live.launch) === before) return;
    this.#records.update(live.launch);
    this.#report(live.launch.launchId);
  }

  #report(launchId: string): void {
    this.#changed.add(launchId);
    this.#wake.abort();
  }

  #lookNow(hookId: string): void {
    this.#lists.get(hookId)?.wake.abort();
  }

  #run(work: Promise<void>): void {
    const guarded = work.catch((error: unknown) => {
      this.#context.log.write(
        "error",
        "launcher.driver_failed",
        `the driver hook failed: ${String(error)}`,
        {},
      );
    });
    this.#work.add(guarded);
    void guarded.then(() => this.#work.delete(guarded));
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
