/** Parses the tasks that a submitted one waits for. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { DependencyCondition, type TaskDependencySchema } from "@muster/protocol";
import { InvalidArgumentError } from "commander";

/** A task to wait for, as `SubmitTasks` takes it. */
export type After = MessageInitShape<typeof TaskDependencySchema>;

/** Conditions by the words that may follow an id. */
const CONDITIONS: Readonly<Record<string, DependencyCondition>> = {
  succeeded: DependencyCondition.SUCCEEDED,
  ended: DependencyCondition.ENDED,
};

/** A parser of a repeated or comma-separated `id[:condition]` option. */
export function after(text: string, before: readonly After[] = []): After[] {
  const found = text.split(",").map((part): After => {
    const [taskId = "", condition = "succeeded", ...rest] = part.trim().split(":");
    const wanted = Object.hasOwn(CONDITIONS, condition) ? CONDITIONS[condition] : undefined;
    if (taskId === "" || wanted === undefined || rest.length > 0)
      throw new InvalidArgumentError(
        `"${part.trim()}" is not id or id:ended, for example t-1042 or t-1042:ended`,
      );
    return { predecessor: { case: "taskId", value: taskId }, condition: wanted };
  });
  return [...before, ...found];
}
