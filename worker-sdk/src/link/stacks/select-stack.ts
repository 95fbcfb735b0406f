/** What of a reading is answered, within the bounds of an answer. */
import { create, toBinary } from "@bufbuild/protobuf";
import { MAX_STACK_BYTES, ProcessStackSchema, type WorkerStack, WorkerStackSchema } from "@muster/protocol";

const MAX_ATTEMPTS = 100;

/** @param attemptId Empty for all. Processes of no known attempt belong to each. */
export function selected(stack: WorkerStack, attemptId: string): WorkerStack {
  const wanted = (id: string): boolean => attemptId === "" || id === attemptId;
  const processes = stack.processes.filter((each) => each.attemptId === "" || wanted(each.attemptId));
  const chosen = create(WorkerStackSchema, {
    ...stack,
    attempts: stack.attempts.filter((each) => wanted(each.attemptId)).slice(0, MAX_ATTEMPTS),
    processes,
  });
  let excess = toBinary(WorkerStackSchema, chosen).byteLength - MAX_STACK_BYTES;
  for (let last = chosen.processes.at(-1); excess > 0 && last !== undefined; last = chosen.processes.at(-1)) {
    // The count of those that are left out may take 4 bytes more.
    excess += 4 - toBinary(ProcessStackSchema, last).byteLength;
    chosen.processes.pop();
    chosen.omittedProcessCount += 1;
  }
  return chosen;
}
