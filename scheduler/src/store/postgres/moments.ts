/** SQL expressions of moments that workers report by their age. */

/** A moment from its age in milliseconds, null without one; never before the moments that it follows. */
export function happenedAt(age: string, ...follows: readonly string[]): string {
  // greatest() ignores nulls, so an unknown age would otherwise become one of these moments.
  return `case when ${age} is not null then greatest(${follows.join(", ")}, now() - ${age} * interval '1 ms') end`;
}

/** A moment that is not later than the statement's own; null stays null, which least() would ignore. */
export function untilNow(moment: string): string {
  return `case when ${moment} > now() then now() else ${moment} end`;
}
