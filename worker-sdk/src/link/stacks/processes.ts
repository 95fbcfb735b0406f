/** What the system says of the processes that a worker has started. */
import { readdirSync, readFileSync } from "node:fs";
import { platform } from "node:os";
import { create } from "@bufbuild/protobuf";
import { type ProcessStack, ProcessStackSchema } from "@muster/protocol";
import type { IsolatedStack } from "../messages.ts";

const MAX_PROCESSES = 40;
const MAX_KERNEL_FRAMES = 20;

/** Names of the states in /proc/PID/stat. */
const STATES: Readonly<Record<string, string>> = {
  R: "R (running)",
  S: "S (sleeping)",
  D: "D (waits for a device, and cannot be killed meanwhile)",
  T: "T (stopped by a signal)",
  t: "t (stopped by a debugger)",
  Z: "Z (has ended, and its parent has not noticed)",
  X: "X (has ended)",
  I: "I (idle)",
};

export interface ProcessReading {
  readonly isolated: readonly IsolatedStack[];
  readonly masked: (text: string) => string;
  readonly command: (argv: readonly string[]) => string;
}

interface Stat {
  readonly pid: number;
  readonly parent: number;
  readonly state: string;
  readonly threads: number;
}

/** The processes that this one has started, and those that these have started; parents first. */
export function readProcesses({ isolated, masked, command }: ProcessReading): {
  readonly processes: readonly ProcessStack[];
  readonly omitted: number;
  readonly note: string | undefined;
} {
  if (platform() !== "linux") return { processes: [], omitted: 0, note: "processes are read on Linux only" };
  const found = descendants(process.pid);
  const own = new Map(isolated.map((each) => [each.pid, each]));
  const attemptOf = new Map<number, string>();
  const processes = found.slice(0, MAX_PROCESSES).map(({ pid, parent, state, threads }) => {
    const isolate = own.get(pid);
    const attemptId = isolate?.attemptId ?? (attemptOf.get(parent) || attemptIn(pid));
    attemptOf.set(pid, attemptId);
    const argv = read(pid, "cmdline", "utf8").split("\0").slice(0, -1);
    const channel = read(pid, "wchan").trim();
    const syscall = /^(\d+) /.exec(read(pid, "syscall"))?.[1];
    return create(ProcessStackSchema, {
      pid,
      parentPid: parent,
      attemptId,
      command: argv.length > 0 ? command(argv) : masked(read(pid, "comm").trim()),
      state: STATES[state] ?? state,
      waitChannel: channel === "0" ? "" : masked(channel),
      ...(syscall === undefined ? {} : { syscallNumber: Number(syscall) }),
      kernelFrames: read(pid, "stack").split("\n").filter(Boolean).slice(0, MAX_KERNEL_FRAMES).map(masked),
      threadCount: threads,
      frames: (isolate?.frames ?? []).map(masked),
    });
  });
  return { processes, omitted: Math.max(0, found.length - MAX_PROCESSES), note: undefined };
}

function descendants(root: number): Stat[] {
  const children = Map.groupBy(
    readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? statOf(Number(name)) : [])),
    ({ parent }) => parent,
  );
  const found: Stat[] = [];
  for (let level = children.get(root) ?? []; level.length > 0; ) {
    found.push(...level);
    level = level.flatMap(({ pid }) => children.get(pid) ?? []);
  }
  return found;
}

/** Nothing when the process has ended meanwhile. */
function statOf(pid: number): readonly Stat[] {
  // The name, in parentheses, may hold anything.
  const text = read(pid, "stat");
  const [state = "", parent = "", ...rest] = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return state === "" ? [] : [{ pid, parent: Number(parent), state, threads: Number(rest[15]) }];
}

/** The attempt of a program of `command()`; empty for others. */
function attemptIn(pid: number): string {
  const variable = read(pid, "environ")
    .split("\0")
    .find((each) => each.startsWith("MUSTER_ATTEMPT_ID="));
  const attemptId = variable?.slice("MUSTER_ATTEMPT_ID=".length) ?? "";
  return /^t-\d{1,19}\.\d{1,10}$/.test(attemptId) ? attemptId : "";
}

/** Empty for a process that has ended, and for what the system does not show. */
function read(pid: number, file: string, encoding: "latin1" | "utf8" = "latin1"): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, encoding);
  } catch (error) {
    if (error instanceof Error && "code" in error) return "";
    throw error;
  }
}
