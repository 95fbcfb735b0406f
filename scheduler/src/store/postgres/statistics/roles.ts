/** The roles of the store that this folder implements: counts of failures and successes, and their history. */
import type { HistoryStore } from "../../history.ts";
import type { StatisticsStore } from "../../statistics.ts";
import type { Database } from "../connection/database.ts";
import { addCompletions, completionsSince, recentCompletions } from "./completions.ts";
import { failureStatistics } from "./failures.ts";
import { readHistory, writeHistory } from "./history.ts";

export function statisticsStore(db: Database): StatisticsStore {
  return {
    failureStatistics: (filter) => failureStatistics(db, filter),
    completionsSince: (time) => completionsSince(db, time),
    recentCompletions: (windowMs) => recentCompletions(db, windowMs),
    addCompletions: (schedulerId, number, counts, waits) =>
      addCompletions(db, schedulerId, number, counts, waits),
  };
}

export function historyStore(db: Database): HistoryStore {
  return {
    writeHistory: (schedulerId, leaseMs) => writeHistory(db, schedulerId, leaseMs),
    readHistory: (windowMs, stepMs) => readHistory(db, windowMs, stepMs),
  };
}
