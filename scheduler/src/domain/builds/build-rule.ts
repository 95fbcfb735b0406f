/** Which builds the tasks of a queue may run on. */

/** What an operator sets for a queue; at least one of the two. */
export interface BuildRule {
  /** Tasks run on this build, except those of the ramp. */
  readonly pin?: string;
  /** A share of the tasks, above 0 and below 1, runs on this build. */
  readonly ramp?: { readonly build: string; readonly share: number };
}

/** What a task asks of the build of its worker. */
export type BuildWish = { readonly is: string } | { readonly isNot: string };

/** What the tasks of a class ask: those of the ramp, and the others. */
export interface BuildSides {
  /** Undefined: any build will do. */
  readonly rest: BuildWish | undefined;
  readonly ramp?: { readonly build: string; readonly share: number } | undefined;
}

/** Ids are spread over this range. */
const RANGE = 2 ** 31;

/** Multiplies an id so that ids in a row are spread evenly; the statement that reads tasks of one side has it, too. */
export const SPREAD = 1_640_531_527;

/** Ids whose spread value is below belong to a ramp of this share. */
export function rampBelow(share: number): number {
  return Math.round(share * RANGE);
}

/** True for a task of the ramp. The same id has the same answer for the same share, and for every larger one. */
export function isOfRamp(taskId: number, share: number): boolean {
  const spread = Math.imul(taskId % RANGE, SPREAD) & 0x7f_ff_ff_ff;
  return spread < rampBelow(share);
}

/**
 * What tasks of a class ask now. A pin holds whether or not its build runs: the tasks wait for it. A ramp holds while its build
 * runs, and without a pin while another one does, too: it never makes a task wait.
 *
 * @param running Builds of the workers that could run such tasks; the empty text for those that name none.
 */
export function sidesOf({ pin, ramp }: BuildRule, running: ReadonlySet<string>): BuildSides | undefined {
  const pinned = pin === undefined ? undefined : { rest: { is: pin } };
  if (!ramp || !running.has(ramp.build)) return pinned;
  if (pinned) return { ...pinned, ramp };
  return running.size > 1 ? { rest: { isNot: ramp.build }, ramp } : undefined;
}

/** What one task asks; undefined for any build. */
export function wishOf({ rest, ramp }: BuildSides, taskId: number): BuildWish | undefined {
  return ramp && isOfRamp(taskId, ramp.share) ? { is: ramp.build } : rest;
}

/** True when a worker of this build may run tasks that ask so. */
export function serves(wish: BuildWish | undefined, build: string): boolean {
  if (wish === undefined) return true;
  return "is" in wish ? wish.is === build : wish.isNot !== build;
}

/** True when a worker of this build may run some tasks of the class. */
export function servesSome({ rest, ramp }: BuildSides, build: string): boolean {
  return ramp?.build === build || serves(rest, build);
}

/** The sides that a single task has: what it asks, and no ramp. */
export function sidesOfTask(sides: BuildSides | undefined, taskId: number): BuildSides | undefined {
  return sides && { rest: wishOf(sides, taskId) };
}

/** The same question has the same answer. */
export function sameSides(a: BuildSides | undefined, b: BuildSides | undefined): boolean {
  return JSON.stringify([a?.rest, a?.ramp]) === JSON.stringify([b?.rest, b?.ramp]);
}

/** `pinned to build 12, and 10 % of its tasks go to build 13`. */
export function ruleInWords({ pin, ramp }: BuildRule): string {
  return [
    ...(pin === undefined ? [] : [`pinned to build ${pin}`]),
    ...(ramp ? [`${percent(ramp.share)} of its tasks go to build ${ramp.build}`] : []),
  ].join(", and ");
}

/** `10 %`. */
export function percent(share: number): string {
  return `${Number((share * 100).toFixed(4))} %`;
}
