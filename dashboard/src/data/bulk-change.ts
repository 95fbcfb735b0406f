/** A change of many tasks: counted first, then done, with how far it is. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ChangeTasksRequestSchema, SkippedTasks } from "@muster/protocol";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { messageOf, tasks } from "./transport.ts";

/** What is changed, without whether it is only counted. */
export type BulkRequest = Omit<
  MessageInitShape<typeof ChangeTasksRequestSchema>,
  "$typeName" | "$unknown" | "continueToken" | "dryRun" | "reason"
>;

/** How far a change, or its count, is. */
export interface BulkCounts {
  readonly matched: number;
  readonly done: number;
  readonly skipped: readonly SkippedTasks[];
}

/** `cut`: the answers broke off; what was done stays, and `go` goes on. */
export type BulkStage = "counting" | "counted" | "changing" | "cut" | "stopped" | "done";

export interface BulkChange {
  readonly stage: BulkStage;
  /** What would be changed. */
  readonly expected: BulkCounts;
  /** What was. */
  readonly changed: BulkCounts;
  /** Why there is no count, or the change is cut; empty for none. */
  readonly problem: string;
  readonly go: (reason: string) => void;
  readonly stop: () => void;
}

const NOTHING: BulkCounts = { matched: 0, done: 0, skipped: [] };

/** Counts at once what `request` would change. */
export function useBulkChange(request: BulkRequest): BulkChange {
  const [stage, setStage] = useState<BulkStage>("counting");
  const [expected, setExpected] = useState(NOTHING);
  const [changed, setChanged] = useState(NOTHING);
  const [problem, setProblem] = useState("");
  const token = useRef("");
  const running = useRef<AbortController>(undefined);
  const client = useQueryClient();

  // biome-ignore lint/correctness/useExhaustiveDependencies: the dialog is of one request
  useEffect(() => {
    const counting = new AbortController();
    const count = async () => {
      try {
        for await (const message of tasks.changeTasks({ ...request, dryRun: true }, counting)) {
          setExpected(add(NOTHING, message));
          if (message.finished) setStage("counted");
        }
      } catch (error) {
        if (!counting.signal.aborted) setProblem(messageOf(error));
      }
    };
    void count();
    return () => {
      counting.abort();
      running.current?.abort();
    };
  }, []);

  const change = async (reason: string) => {
    const controller = new AbortController();
    running.current = controller;
    setStage("changing");
    setProblem("");
    // Counts of a call begin at zero: those of the calls before it stay.
    const before = changed;
    try {
      const call = { ...request, reason, continueToken: token.current };
      for await (const message of tasks.changeTasks(call, controller)) {
        token.current = message.continueToken;
        setChanged(add(before, message));
        if (message.finished) setStage("done");
      }
    } catch (error) {
      setStage(controller.signal.aborted ? "stopped" : "cut");
      if (!controller.signal.aborted) setProblem(messageOf(error));
    } finally {
      void client.invalidateQueries();
    }
  };
  return {
    stage,
    expected,
    changed,
    problem,
    go: (reason) => void change(reason),
    stop: () => running.current?.abort(),
  };
}

interface Answer {
  readonly matchedCount: bigint;
  readonly doneCount: bigint;
  readonly skipped: readonly SkippedTasks[];
}

/** The counts of a call added to those of the calls before it. */
export function add(before: BulkCounts, { matchedCount, doneCount, skipped }: Answer): BulkCounts {
  const codes = new Map(before.skipped.map((entry) => [entry.code, entry]));
  for (const entry of skipped) {
    const earlier = codes.get(entry.code);
    codes.set(
      entry.code,
      earlier ? { ...entry, skippedCount: entry.skippedCount + earlier.skippedCount } : entry,
    );
  }
  return {
    matched: before.matched + Number(matchedCount),
    done: before.done + Number(doneCount),
    skipped: [...codes.values()],
  };
}
