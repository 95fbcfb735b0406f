/** Reads facts of processes that are not children. */
import { readFile, stat } from "node:fs/promises";
import { systemErrorCode } from "../errors.ts";
import { run } from "./run.ts";

/** A living process. */
export interface ProcessFacts {
  /** The name of its program. */
  program: string;
  /** Its start time, in the system's own form: with the pid it identifies the process. */
  started: string;
}

/** The facts of a process, or undefined when it has ended; a zombie has ended. */
export async function describeProcess(pid: number): Promise<ProcessFacts | undefined> {
  if (process.platform !== "linux") return describeByPs(pid);
  let line: string;
  try {
    line = await readFile(`/proc/${pid}/stat`, "utf8");
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT" || systemErrorCode(error) === "ESRCH") return undefined;
    throw error;
  }
  // "pid (program) state ppid ...": the name may hold spaces and brackets, so the last bracket decides.
  const end = line.lastIndexOf(")");
  const fields = line.slice(end + 2).split(" ");
  if (fields[0] === "Z" || fields[0] === "X") return undefined;
  return { program: line.slice(line.indexOf("(") + 1, end), started: fields[19] ?? "" };
}

async function describeByPs(pid: number): Promise<ProcessFacts | undefined> {
  const { output } = await run("ps", ["-o", "state=,lstart=,ucomm=", "-p", String(pid)], {
    timeoutMs: 10_000,
  });
  const found = /^(\S+)\s+(\S+ \S+\s+\d+ \S+ \d+)\s+(.+)$/.exec(output.trim());
  if (!found?.[1] || found[1].startsWith("Z")) return undefined;
  return { program: found[3] ?? "", started: found[2] ?? "" };
}

/** True when the process lives and is a PostgreSQL server that works in the folder. */
export async function servesCluster(pid: number, cluster: string): Promise<boolean> {
  const facts = await describeProcess(pid);
  if (facts?.program !== "postgres") return false;
  if (process.platform !== "linux") {
    const { output } = await run("ps", ["-ww", "-o", "command=", "-p", String(pid)], { timeoutMs: 10_000 });
    return output.includes(cluster);
  }
  try {
    // The working directory of a server is its data folder; comparing inodes covers a renamed folder too.
    const [own, wanted] = await Promise.all([stat(`/proc/${pid}/cwd`), stat(cluster)]);
    return own.dev === wanted.dev && own.ino === wanted.ino;
  } catch (error) {
    // EACCES: another user's process. A server of this folder runs as its owner, whose processes are readable.
    if (["ENOENT", "ESRCH", "EACCES", "EPERM"].includes(systemErrorCode(error) ?? "")) return false;
    throw error;
  }
}
