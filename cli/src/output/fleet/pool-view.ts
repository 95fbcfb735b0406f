/** Shows pools, their launches and plans as text. */
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { formatAge } from "@muster/common/text/duration-text";
import type { Pool, PoolLaunch, PoolPlan } from "@muster/protocol";
import { LaunchGuardState, PoolAction, PoolLaunchOutcome, PoolLaunchState } from "@muster/protocol";
import type { Io } from "../../io/io.ts";
import { ageCell, durationCell, enumName, labelsText, momentCell } from "../cells.ts";
import { type Cell, writeFields, writeTable } from "../table.ts";
import { oneLine } from "../text.ts";
import { rolloutLines, templateText } from "./rollout-view.ts";

const COLUMNS = [
  { title: "NAME", shrink: "last" },
  { title: "STATE" },
  { title: "READY", align: "right" },
  { title: "STARTING", align: "right" },
  { title: "STOPPING", align: "right" },
  { title: "DESIRED", align: "right" },
  { title: "MIN", align: "right" },
  { title: "MAX", align: "right" },
  { title: "WAITING", align: "right" },
  { title: "LAUNCHER", shrink: "first" },
] as const;

const LAUNCH_COLUMNS = [
  { title: "LAUNCH" },
  { title: "STATE" },
  { title: "ORDERED" },
  { title: "LAUNCHER", shrink: "first" },
  { title: "OUTCOME" },
  { title: "WHY", shrink: "last" },
  { title: "TEMPLATE", align: "right" },
] as const;

const STEP_COLUMNS = [
  { title: "ACTION" },
  { title: "COUNT", align: "right" },
  { title: "LAUNCH" },
  { title: "REASON", shrink: "last" },
] as const;

/** Shows pools as a table. */
export function writePools(pools: readonly Pool[], { stdout }: Io): void {
  writeTable(
    stdout,
    COLUMNS,
    pools.map((pool) => [
      pool.spec?.name ?? "",
      stateCell(pool, stdout.colors),
      String(pool.readyCount),
      String(pool.startingCount),
      String(pool.stoppingCount),
      String(pool.desiredCount),
      String(pool.spec?.minWorkers ?? 0),
      String(pool.spec?.maxWorkers ?? 0),
      String(pool.waitingCount),
      launcherText(pool),
    ]),
  );
}

/** Shows one pool. */
export function writePool(pool: Pool, { stdout, clock }: Io): void {
  const now = clock.now();
  const { spec, launchGuard: guard } = pool;
  const { offer, launchTemplate: template } = spec ?? {};
  writeFields(stdout, [
    ["name", spec?.name],
    ["state", stateCell(pool, stdout.colors)],
    ["paused", momentCell(pool.pauseTime, now)],
    ["pause reason", unlessEmpty(oneLine(pool.pauseReason))],
    ["suspended", guardText(pool, now)],
    ["suspended since", momentCell(guard?.openTime, now)],
    ...rolloutLines(pool.rollout, now).map((line, index): [string, string] => [
      index === 0 ? "rollout" : "remaining",
      oneLine(line),
    ]),
    ["types", unlessEmpty(offer?.taskTypes.join(" ") ?? "")],
    ["queues", unlessEmpty(offer?.queues.join(" ") ?? "")],
    ["labels", unlessEmpty(labelsText(offer?.labels ?? {}))],
    ["resources", unlessEmpty(offer?.resources.join(" ") ?? "")],
    ["slots", String(offer?.slots ?? 1)],
    ["workers", `${spec?.minWorkers} to ${spec?.maxWorkers}`],
    ["desired", String(pool.desiredCount)],
    ["ready", String(pool.readyCount)],
    ["starting", String(pool.startingCount)],
    ["stopping", String(pool.stoppingCount)],
    ["waiting tasks", String(pool.waitingCount)],
    ["held attempts", String(pool.heldCount)],
    ["usual start", pool.usualStart && durationCell(pool.usualStart)],
    ["startup timeout", spec?.startupTimeout && durationCell(spec.startupTimeout)],
    ["idle timeout", spec?.idleTimeout && durationCell(spec.idleTimeout)],
    ["launcher", launcherText(pool)],
    ["driver", template?.driver.case],
    ["command", unlessEmpty(oneLine(template?.command.join(" ") ?? ""))],
    ["version", String(pool.specVersion)],
    ["template", templateText(pool.templateVersion, pool.buildId)],
    ["changed", momentCell(pool.updateTime, now)],
  ]);
}

/** Shows launches as a table. */
export function writePoolLaunches(launches: readonly PoolLaunch[], { stdout, clock }: Io): void {
  const now = clock.now();
  writeTable(
    stdout,
    LAUNCH_COLUMNS,
    launches.map((launch): (Cell | string)[] => [
      launch.launchId,
      enumName(PoolLaunchState, launch.state),
      ageCell(launch.orderTime, now),
      launch.launcherId,
      launch.outcome === PoolLaunchOutcome.UNSPECIFIED ? "" : enumName(PoolLaunchOutcome, launch.outcome),
      oneLine(whyOf(launch)),
      String(launch.templateVersion),
    ]),
  );
}

/** Shows a plan. */
export function writePlan(plan: PoolPlan, { stdout, clock }: Io): void {
  const { desiredCount, servingCount, waitingCount, heldCount, minimumCount } = plan;
  writeFields(stdout, [
    ["desired", String(desiredCount)],
    ["there are", String(servingCount)],
    ["minimum now", String(minimumCount)],
    ["waiting tasks", String(waitingCount)],
    ["held attempts", String(heldCount)],
    ...rolloutLines(plan.rollout, clock.now()).map((line, index): [string, string] => [
      index === 0 ? "rollout" : "remaining",
      oneLine(line),
    ]),
    ...plan.limits.map(({ code, text }): [string, string] => ["limit", `${code}: ${oneLine(text)}`]),
    ...(plan.steps.length === 0 ? [["steps", "nothing to do"] as [string, string]] : []),
  ]);
  if (plan.steps.length === 0) return;
  stdout.write("\n");
  writeTable(
    stdout,
    STEP_COLUMNS,
    plan.steps.map(({ action, count, launchId, reason }) => [
      enumName(PoolAction, action),
      String(count),
      launchId,
      oneLine(reason),
    ]),
  );
}

function whyOf({ cause, summary, stopReason, engineReason, engineDetail, reason }: PoolLaunch): string {
  if (cause) return `${cause}: ${summary}`;
  return stopReason || [engineReason, engineDetail].filter(Boolean).join(": ") || reason;
}

function stateCell(pool: Pool, colors: Io["stdout"]["colors"]): Cell {
  if (pool.deleteTime) return { text: "deleting", paint: colors.dim };
  if (pool.pauseTime) return { text: "paused", paint: colors.yellow };
  return pool.launchGuard && pool.launchGuard.state !== LaunchGuardState.CLOSED
    ? { text: "suspended", paint: colors.red }
    : { text: "active", paint: colors.green };
}

function guardText({ launchGuard: guard }: Pool, now: number): string | undefined {
  if (!guard || guard.state === LaunchGuardState.CLOSED) return undefined;
  const { failedCount, startCount, cause, causeCount, exampleLaunchId, probeTime, probeLaunchId } = guard;
  const probe = probeTime ? `next probe ${untilText(probeTime, now)}` : `probe ${probeLaunchId} is starting`;
  return `${failedCount} of ${startCount} starts failed, ${causeCount} with ${cause} (${exampleLaunchId}); ${probe}`;
}

function untilText(time: Timestamp, now: number): string {
  return formatAge(now - timestampMs(time));
}

function launcherText({ launcherId, launcherConnected }: Pool): string {
  if (launcherId === "") return "none";
  return launcherConnected ? launcherId : `${launcherId} (not connected)`;
}

function unlessEmpty(text: string): string | undefined {
  return text === "" ? undefined : text;
}
