/** All cases in their order: basic, resilient, complete. */
import type { ConformanceCase, Level, LevelledCase } from "../case.ts";
import { LEVELS } from "../case.ts";
import { ATTEMPTS } from "./basic/attempts.ts";
import { REGISTRATION } from "./basic/registration.ts";
import { ENDINGS } from "./complete/ends.ts";
import { REPORTS } from "./complete/reports.ts";
import { SLOT_CASES } from "./complete/slots.ts";
import { STOPS } from "./complete/stops.ts";
import { ENDS } from "./resilient/ends.ts";
import { RECONNECT } from "./resilient/reconnect.ts";
import { RESULTS } from "./resilient/results.ts";

const BY_LEVEL: Readonly<Record<Level, readonly (readonly ConformanceCase[])[]>> = {
  basic: [REGISTRATION, ATTEMPTS],
  resilient: [RECONNECT, RESULTS, ENDS],
  complete: [REPORTS, STOPS, SLOT_CASES, ENDINGS],
};

/** Every case, by its id within its level. */
export const CASES: readonly LevelledCase[] = LEVELS.flatMap((level) =>
  BY_LEVEL[level]
    .flat()
    .map((each) => ({ ...each, level }))
    .sort((one, other) => one.id.localeCompare(other.id, "en")),
);

/** The cases of a level and of those before it. */
export function casesOf(level: Level): readonly LevelledCase[] {
  const wanted = LEVELS.slice(0, LEVELS.indexOf(level) + 1);
  return CASES.filter((each) => wanted.includes(each.level));
}
