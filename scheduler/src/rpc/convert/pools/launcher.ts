/** Messages of launchers, checked; and orders to them in protobuf. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { quoted } from "@muster/common/text/text";
import {
  LaunchEnginePhase,
  type LauncherHello,
  type LauncherStreamResponseSchema,
  type LaunchObservation,
} from "@muster/protocol";
import type {
  LauncherIdentity,
  LauncherOrder,
  ReportedLaunch,
} from "../../../dispatch/pools/launcher-sessions.ts";
import { POOL_NAME, POOL_NAME_RULE } from "../../../domain/pools/pool.ts";
import type { DriverPhase } from "../../../domain/pools/pool-launch.ts";
import { invalidMessage } from "../../../domain/refusals.ts";
import { storable, storableEnd } from "../values/text.ts";
import { durationFromMs, toMs } from "../values/time.ts";
import { fromTemplate } from "./pool.ts";

const LAUNCHER_ID = /^[A-Za-z0-9._-]{1,100}$/;
const SESSION_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const DRIVER = /^[a-z][a-z_]{0,39}$/;

const MAX_POOLS = 1_000;
const MAX_DRIVERS = 20;
const MAX_LAUNCHES = 20_000;
const MAX_OBSERVATIONS = 1_000;
const MAX_ID = 128;
const MAX_REASON = 100;
const MAX_DETAIL = 2_000;
const MAX_TAIL = 16_384;

const PHASES: Readonly<Partial<Record<LaunchEnginePhase, DriverPhase>>> = {
  [LaunchEnginePhase.PENDING]: "pending",
  [LaunchEnginePhase.RUNNING]: "running",
  [LaunchEnginePhase.ENDED]: "ended",
};

/** Who a launcher is, and what its engine has. @throws Refusal `INVALID_MESSAGE` */
export function toLauncher(hello: LauncherHello): {
  readonly identity: LauncherIdentity;
  readonly launches: readonly ReportedLaunch[];
} {
  const { launcherId, sessionId, program, hostname, pools, drivers, launches } = hello;
  if (!LAUNCHER_ID.test(launcherId))
    throw invalidMessage(`launcher_id ${quoted(launcherId, 100)} must have 1 to 100 of A-Z a-z 0-9 . _ -`);
  if (!SESSION_ID.test(sessionId)) throw invalidMessage(`session_id ${quoted(sessionId, 100)} is no UUID`);
  if (pools.length > MAX_POOLS)
    throw invalidMessage(`pools has ${pools.length} names; at most ${MAX_POOLS} are allowed`);
  for (const pool of pools) {
    if (!POOL_NAME.test(pool))
      throw invalidMessage(`${quoted(pool, 100)} is no name of a pool: it ${POOL_NAME_RULE}`);
  }
  if (drivers.length === 0 || drivers.length > MAX_DRIVERS || !drivers.every((driver) => DRIVER.test(driver)))
    throw invalidMessage(
      `drivers must be 1 to ${MAX_DRIVERS} names of fields of LaunchTemplate, for example process`,
    );
  return {
    identity: {
      ...{ launcherId, session: sessionId.toLowerCase(), pools, drivers },
      hostname: storable(hostname, 255),
      program: storable(program, 100),
    },
    launches: toObservations(launches, MAX_LAUNCHES),
  };
}

/** What a launcher sees. @throws Refusal `INVALID_MESSAGE` */
export function toObservations(
  observations: readonly LaunchObservation[],
  most = MAX_OBSERVATIONS,
): readonly ReportedLaunch[] {
  if (observations.length > most)
    throw invalidMessage(
      `${observations.length} observations are in one message; at most ${most} are allowed`,
    );
  return observations.map((each): ReportedLaunch => {
    const phase = PHASES[each.phase];
    if (phase === undefined)
      throw invalidMessage(`phase ${each.phase} of launch ${quoted(each.launchId, MAX_ID)} is not known`);
    const bytes = Number(each.outputBytes);
    return {
      launchId: storable(each.launchId, MAX_ID),
      phase,
      reason: storable(each.reason, MAX_REASON),
      detail: storable(each.detail, MAX_DETAIL),
      ...(each.exitCode === undefined ? {} : { exitCode: each.exitCode }),
      signal: storable(each.signal, MAX_REASON),
      outOfMemory: each.outOfMemory,
      outputBytes: bytes > 0 && Number.isSafeInteger(bytes) ? bytes : 0,
      outputAgeMs: toMs(each.outputAge),
      logTail: storableEnd(each.logTail, MAX_TAIL),
    };
  });
}

/** An order in protobuf. */
export function fromOrder(order: LauncherOrder): MessageInitShape<typeof LauncherStreamResponseSchema> {
  switch (order.kind) {
    case "leases":
      return { message: { case: "leases", value: { pools: [...order.pools] } } };
    case "launch": {
      const { launchId, pool, spec } = order.launch;
      return {
        message: {
          case: "launch",
          value: {
            launchId,
            pool,
            workerId: launchId,
            launchTemplate: fromTemplate(spec.template),
            startupTimeout: durationFromMs(spec.startupTimeoutMs),
          },
        },
      };
    }
    case "stop": {
      const { launchId, graceMs, reason } = order;
      return { message: { case: "stop", value: { launchId, grace: durationFromMs(graceMs), reason } } };
    }
    case "acknowledge":
      return { message: { case: "acknowledgements", value: { launchIds: [...order.launchIds] } } };
    default: {
      const unknown: never = order;
      throw new TypeError(`unknown order ${JSON.stringify(unknown)}`);
    }
  }
}
