/** Processor time and memory of a process. */
import { readFileSync } from "node:fs";

/** Reads what a process has used so far. */
export type ProcessUse = () => { readonly cpuS: number; readonly rssBytes: number };

/** Clock ticks in a second, and bytes in a page, of every Linux that Node runs on but a few with larger pages. */
const TICKS = 100;
const PAGE_BYTES = 4_096;

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
      // After the name in brackets: state is field 3, utime 14, stime 15, rss 24.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      const [user, system, pages] = [fields[11], fields[12], fields[21]].map(Number);
      return { cpuS: ((user ?? 0) + (system ?? 0)) / TICKS, rssBytes: (pages ?? 0) * PAGE_BYTES };
    } catch (error) {
      if (error instanceof Error && "code" in error) return { cpuS: 0, rssBytes: 0 };
      throw error;
    }
  };
}
