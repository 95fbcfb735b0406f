/** Cases of the prose snapshot: tasks that wait, in the order of the snapshot. */
import { queueBuildRule } from "../limits/queue-build-rule.ts";
import { queueFull } from "../limits/queue-full.ts";
import { BUSY_PROSE } from "./busy-prose.ts";
import { CAPACITY_PROSE } from "./capacity-prose.ts";
import { CIRCUIT_PROSE } from "./circuit-prose.ts";
import { DELAY_PROSE } from "./delay-prose.ts";
import { WAITING_DEPENDENCY_PROSE } from "./dependency-prose.ts";
import { ago, member, NOW } from "./fixture.ts";
import { KEY_PROSE } from "./key-prose.ts";
import { LATER_PROSE } from "./later-prose.ts";
import { waiting } from "./made-facts.ts";
import { NO_WORKER_PROSE } from "./no-worker-prose.ts";
import type { ProseCase } from "./prose-case.ts";

const QUEUE_PROSE: readonly ProseCase[] = [
  {
    code: "QUEUE_PAUSED",
    when: "for 30 s",
    write: () => waiting([member()], { queuePause: { reason: "disk is full (by ana)", since: ago(30_000) } }),
  },
  {
    code: "QUEUE_FULL",
    when: "at its limit",
    write: () => {
      const limit = { max: 1_000, reason: "disk is small (by ana)", since: ago(90_000), waiting: 1_001 };
      return [queueFull({ name: "nightly", ...limit }, NOW)].filter((reason) => reason !== undefined);
    },
  },
  {
    code: "QUEUE_BUILD_RULE",
    when: "a pin and a ramp",
    write: () => {
      const setting = { reason: "release 13 (by ana)", since: ago(90_000) };
      return [queueBuildRule("ocr", { pin: "12", ramp: { build: "13", share: 0.1 } }, setting, NOW)];
    },
  },
  {
    code: "QUEUE_BUILD_RULE",
    when: "a pin alone",
    write: () => [queueBuildRule("ocr", { pin: "12" }, undefined, NOW)],
  },
];

export const WAITING_PROSE: readonly ProseCase[] = [
  ...CIRCUIT_PROSE,
  ...WAITING_DEPENDENCY_PROSE,
  ...KEY_PROSE,
  ...LATER_PROSE,
  ...QUEUE_PROSE,
  ...NO_WORKER_PROSE,
  ...BUSY_PROSE,
  ...DELAY_PROSE,
  ...CAPACITY_PROSE,
];
