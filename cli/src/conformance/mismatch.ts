/** How a case ends that has not passed. */

/** The worker did something else than the documents say. */
export class Mismatch extends Error {
  readonly expected: string;
  readonly came: string;

  constructor(expected: string, came: string) {
    super(`expected ${expected}; ${came}`);
    this.name = "Mismatch";
    this.expected = expected;
    this.came = came;
  }
}

/** The case is about an ability that the worker does not have, as its Hello says. */
export class NotClaimed extends Error {
  constructor(why: string) {
    super(why);
    this.name = "NotClaimed";
  }
}

/** The worker's program cannot be run at all. */
export class CannotStart extends Error {
  constructor(program: string, why: string) {
    super(`${program}: ${why}`);
    this.name = "CannotStart";
  }
}

/** @throws Mismatch unless `holds`. */
export function must(holds: boolean, expected: string, came: string): asserts holds {
  if (!holds) throw new Mismatch(expected, came);
}
