/** The updates of a watched task. */
import type { Client as ConnectClient } from "@connectrpc/connect";
import type { OutputChunk, PlainTask, Task, TaskService } from "@muster/protocol";
import { plainTask } from "@muster/protocol";
import type { Random } from "../../network/backoff.ts";
import { resumed } from "./resumed-stream.ts";
import { hasEnded } from "./task-result.ts";

/** One update of a watch. */
export interface TaskUpdate {
  /** The task as it is now. */
  readonly task: PlainTask;
  /** Output chunks that no earlier update had, in order. */
  readonly outputChunks: readonly TaskOutput[];
}

/** One update of `watchMessages()`. */
export interface TaskMessages {
  /** The task, as it was then. */
  readonly task: Task;
  /** Pieces of streamed output that have come since the last message. */
  readonly outputChunks: readonly OutputChunk[];
}

/** One chunk of the output of an attempt. */
export interface TaskOutput {
  /** The attempt that wrote it, for example `t-1042.1`. */
  readonly attemptId: string;
  /** 1 for the first of the attempt; a gap shows that chunks were lost. */
  readonly sequence: number;
  /** What the handler gave to `ctx.output`. */
  readonly data: Uint8Array;
}

/** Yields the task at every change until it has ended; no chunk of its output comes twice. */
export async function* watchTask(
  tasks: ConnectClient<typeof TaskService>,
  taskId: string,
  options: { readonly signal: AbortSignal; readonly random: Random },
): AsyncGenerator<TaskMessages, void, undefined> {
  const { signal } = options;
  const seen = new Map<string, bigint>();
  const open = () => tasks.watchTask({ taskId }, { signal });
  for await (const { task, outputChunks } of resumed(open, { ...options, reopenEnded: true })) {
    if (task === undefined) continue;
    yield { task, outputChunks: unseen(outputChunks, seen) };
    if (hasEnded(task.state)) return;
  }
}

/** An update in plain values. */
export function plainUpdate({ task, outputChunks }: TaskMessages): TaskUpdate {
  return {
    task: plainTask(task),
    outputChunks: outputChunks.map(({ attemptId, sequence, data }) => ({
      ...{ attemptId, sequence: Number(sequence), data },
    })),
  };
}

function unseen(chunks: readonly OutputChunk[], seen: Map<string, bigint>): OutputChunk[] {
  return chunks.filter((chunk) => {
    if (chunk.sequence <= (seen.get(chunk.attemptId) ?? 0n)) return false;
    seen.set(chunk.attemptId, chunk.sequence);
    return true;
  });
}
