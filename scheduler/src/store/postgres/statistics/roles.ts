/** The role of the store that this folder implements: counts of failures and successes. */
import type { StatisticsStore } from "../../statistics.ts";
import type { Database } from "../connection/database.ts";
import { addCompletions, completionsSince, recentCompletions } from "./completions.ts";
import { failureStatistics } from "./failures.ts";

export function statisticsStore(db: Database): StatisticsStore {
  return {
    failureStatistics: (filter) => failureStatistics(db, filter),
    completionsSince: (time) => completionsSince(db, time),
    recentCompletions: (windowMs) => recentCompletions(db, windowMs),
    addCompletions: (schedulerId, number, counts) => addCompletions(db, schedulerId, number, counts),
  };
}
