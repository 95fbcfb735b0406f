/** The checks of tasks and workers, in the order in which they are shown. */
import type { Check } from "./check.ts";
import { ended, launches, refused } from "./failed-workers.ts";
import { circuitsOpen, full, held, keys, keysPaused, paused } from "./held-back-tasks.ts";
import { blocked, contested, quarantined, sdks, silent, workersPaused } from "./living-workers.ts";
import { failures, stuck } from "./running-tasks.ts";
import { delayed, neverFit, unserved } from "./waiting-tasks.ts";
import type { WorkFacts } from "./work-facts.ts";

/** Checks of waiting and stuck tasks, and of workers with problems. */
export function workChecks(facts: WorkFacts): Check[] {
  return [
    unserved(facts),
    neverFit(facts),
    delayed(facts),
    paused(facts),
    held(facts),
    full(facts),
    keys(facts),
    circuitsOpen(facts),
    keysPaused(facts),
    stuck(facts),
    failures(facts),
    silent(facts),
    ended(facts),
    workersPaused(facts),
    quarantined(facts),
    blocked(facts),
    refused(facts),
    contested(facts),
    launches(facts),
    sdks(facts),
  ];
}
