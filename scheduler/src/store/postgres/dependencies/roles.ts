/** The role of the store that this folder implements: dependencies. */
import type { DependencyStore } from "../../dependencies.ts";
import type { Database } from "../connection/database.ts";
import { predecessors, taskLinks } from "./read-links.ts";
import { releaseDependents } from "./release.ts";

export function dependencyStore(db: Database): DependencyStore {
  return {
    releaseDependents: (maxEnds, perEnd) => releaseDependents(db, maxEnds, perEnd),
    predecessors: (taskId) => predecessors(db, taskId),
    taskLinks: (taskId, after, limit) => taskLinks(db, taskId, after, limit),
  };
}
