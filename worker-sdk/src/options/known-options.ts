/** Names of options: one that is not known is a fault, because a misspelt option would have no effect. */
import { closestNames } from "@muster/common/text/closest-names";
import { OptionsError } from "./options-error.ts";

/** The options of a type, each once. The compiler refuses a list that lacks one. */
export type OptionNames<Options> = Readonly<Record<keyof Options & string, true>>;

const NONE: readonly string[] = [];

/**
 * The faults of names that are not known; an option that is undefined is as one that is not there.
 *
 * @param prefix Begins with the option that the object is, for example `retry.`.
 */
export function unknownOptions(
  given: object | undefined,
  known: Readonly<Record<string, true>>,
  prefix = "",
): readonly string[] {
  let faults: string[] | undefined;
  // Without a list of the names: every submit comes here.
  for (const name in given) {
    if (Object.hasOwn(known, name) || given[name as keyof typeof given] === undefined) continue;
    const names = Object.keys(known);
    const [near] = closestNames(name, names);
    const remedy = near === undefined ? `known are ${names.join(", ")}` : `is ${near} meant?`;
    faults ??= [];
    faults.push(`option ${prefix}${name}: is not known; ${remedy}`);
  }
  return faults ?? NONE;
}

/** @throws OptionsError with the faults of names that are not known. */
export function checkKnown(
  call: string,
  given: object | undefined,
  known: Readonly<Record<string, true>>,
  prefix = "",
): void {
  const faults = unknownOptions(given, known, prefix);
  if (faults.length > 0) throw new OptionsError(call, faults);
}
