/** Processor time and memory of a process. */
import { readFileSync } from "node:fs";

/** Reads what a process has used so far. */
export type ProcessUse = () => { readonly cpuS: number; readonly rssBytes: number };

/** Clock ticks in a second, as Linux shows them to programs. */
const TICKS = 100;

/** This process. */
export const ownUse: ProcessUse = () => {
  const { user, system } = process.cpuUsage();
  return { cpuS: (user + system) / 1e6, rssBytes: process.memoryUsage.rss() };
};

/** Another process; zeros where the system does not say, or when it has ended. */
export function useOf(pid: number): ProcessUse {
  return () => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      // After the name in brackets: state is field 3, utime 14, stime 15.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      const [user = 0, system = 0] = [fields[11], fields[12]].map(Number);
      const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "0";
      return { cpuS: (user + system) / TICKS, rssBytes: Number(kib) * 1_024 };
    } catch (error) {
      if (error instanceof Error && "code" in error) return { cpuS: 0, rssBytes: 0 };
      throw error;
    }
  };
}
