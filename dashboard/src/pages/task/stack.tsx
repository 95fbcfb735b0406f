/** Where the handler of a running task is: asked of its worker when a button is pressed. */
import type { GetStackResponse, ProcessStack } from "@muster/protocol";
import { useMutation } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { CALL_TIMEOUT_MS, fleet, messageOf } from "../../data/transport.ts";
import { durationMs, span } from "../../format/span.ts";
import { CopyButton } from "../../ui/copy.tsx";
import { Panel } from "../../ui/panel.tsx";

export function Stack({ taskId }: { taskId: string }): ReactNode {
  const asking = useMutation({
    mutationFn: () => fleet.getStack({ taskId }, { timeoutMs: CALL_TIMEOUT_MS }),
  });
  return (
    <Panel title="Where its handler is" note="read from the worker when asked">
      <div className="stack tight">
        <p className="row">
          <button
            type="button"
            className="button"
            disabled={asking.isPending}
            onClick={() => asking.mutate()}
          >
            {asking.isPending ? "Asking its worker…" : asking.data ? "Read it again" : "Read its stack"}
          </button>
        </p>
        {asking.error ? <p role="alert">{messageOf(asking.error)}</p> : null}
        {asking.data ? <Answered answer={asking.data} /> : null}
      </div>
    </Panel>
  );
}

function Answered({ answer: { stack, workerId } }: { answer: GetStackResponse }): ReactNode {
  if (!stack) return <p>Worker {workerId} answered without a stack.</p>;
  const { mainFrames, loopAge, attempts, processes, omittedProcessCount, notes } = stack;
  const age = span(durationMs(loopAge) ?? 0);
  return (
    <div className="stack tight" role="status">
      <p>
        {mainFrames.length === 0
          ? `The main loop of ${workerId} last turned ${age} ago; no handler blocks it.`
          : `The main loop of ${workerId} has been blocked for ${age}, at:`}
      </p>
      <Frames frames={mainFrames} />
      {attempts.map(({ attemptId, phase, phaseAge, waits, hasReturned }) => (
        <p key={attemptId}>
          <code>{attemptId}</code>{" "}
          {hasReturned
            ? "has returned; its result waits for the acknowledgement"
            : waits
              ? "was not called yet"
              : `${phase === "" ? "has run" : `has been in phase ${phase}`} for ${span(durationMs(phaseAge) ?? 0)}`}
        </p>
      ))}
      {processes.map((process) => (
        <Process key={process.pid} process={process} />
      ))}
      {omittedProcessCount > 0 ? <p className="muted">{omittedProcessCount} more processes.</p> : null}
      {notes.map((note) => (
        <p className="muted" key={note}>
          {note}
        </p>
      ))}
    </div>
  );
}

function Process({
  process: { pid, command, state, waitChannel, frames, kernelFrames },
}: {
  process: ProcessStack;
}): ReactNode {
  const facts = [state, waitChannel === "" ? "" : `waits in ${waitChannel}`].filter((part) => part !== "");
  return (
    <>
      <p>
        Process {pid}: <code>{command}</code> <span className="muted">{facts.join(", ")}</span>
      </p>
      <Frames frames={[...frames, ...kernelFrames.map((frame) => `in the kernel: ${frame}`)]} />
    </>
  );
}

function Frames({ frames }: { frames: readonly string[] }): ReactNode {
  if (frames.length === 0) return null;
  const text = frames.join("\n");
  return (
    <>
      <pre className="text-content">{text}</pre>
      <CopyButton text={text} label="Copy the stack" />
    </>
  );
}
