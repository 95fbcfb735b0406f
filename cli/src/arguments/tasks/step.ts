/** A condition on the steps of tasks, as the command line gives it. */
import { PHASE_NAME } from "@muster/common/text/name-forms";
import type { BulkFilter } from "@muster/worker/client";
import { InvalidArgumentError } from "commander";

type Step = NonNullable<BulkFilter["step"]>;

const STATES = ["pending", "done", "failed"] as const satisfies readonly Step["state"][];

/** `create_pr` or `create_pr=failed`. @throws InvalidArgumentError for another form. */
export function parseStep(text: string): Step {
  const [name = "", word, ...more] = text.split("=");
  if (!PHASE_NAME.test(name))
    throw new InvalidArgumentError(`"${name}" is no name of a step, such as create_pr`);
  if (word === undefined) return { name };
  const state = STATES.find((each) => each === word);
  if (state === undefined || more.length > 0)
    throw new InvalidArgumentError(`"${[word, ...more].join("=")}" is none of: ${STATES.join(", ")}`);
  return { name, state };
}
