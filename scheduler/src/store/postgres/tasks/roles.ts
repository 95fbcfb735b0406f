/** The roles of the store that this folder implements: classes, claims, attempts and tasks. */

import { dependsOnOthers } from "../../../domain/tasks/limits/limit-plan.ts";
import type { AttemptStore } from "../../attempts.ts";
import type { CheckpointStore } from "../../checkpoints.ts";
import type { ClaimStore } from "../../claims.ts";
import type { ClassStore } from "../../classes.ts";
import type { TaskStore } from "../../tasks.ts";
import type { Database } from "../connection/database.ts";
import { insertKeyedTasks } from "../unique-keys/insert-keyed.ts";
import { keyOwner } from "../unique-keys/key-rows.ts";
import { committedResults, countedAttempts } from "./attempts.ts";
import { assignedTo, claim, claimRated, keyedClaims, retake, touch } from "./claim.ts";
import { classesAfter, classesById, openClasses, openClassIds, resolveClasses } from "./classes.ts";
import { commitResults } from "./commit.ts";
import { cancelTask, retryTask } from "./control/cancel-retry.ts";
import { editTask } from "./control/edit.ts";
import { holdTask, releaseTask } from "./control/hold.ts";
import { revokeTask } from "./control/revoke.ts";
import { listTasks } from "./find/list.ts";
import { followedTask, getTask, longestHeld } from "./read.ts";
import { checkpointOf, putCheckpoints } from "./reports/checkpoints.ts";
import { appendOutput, changedTasks, outputAfter } from "./reports/output.ts";
import { insertTasks } from "./submit.ts";
import { attemptFacts } from "./trace.ts";
import { agedTasks, countWaiting, failOverdue, waitingOfRamp, waitingTasks, wakeDue } from "./waiting.ts";

export function classStore(db: Database): ClassStore {
  return {
    resolveClasses: (wanted) => resolveClasses(db, wanted),
    classesAfter: (id) => classesAfter(db, id),
    classesById: (ids) => classesById(db, ids),
    openClasses: () => openClasses(db),
    openClassIds: () => openClassIds(db),
    waitingTasks: (classIds, limit, floors) => waitingTasks(db, classIds, limit, floors),
    agedTasks: (tops, ageingMs, limit) => agedTasks(db, tops, ageingMs, limit),
    waitingOfRamp: (classId, share, ofRamp, limit) => waitingOfRamp(db, classId, share, ofRamp, limit),
    countWaiting: (classIds, limit) => countWaiting(db, classIds, limit),
  };
}

export function claimStore(db: Database): ClaimStore {
  return {
    insertTasks: (tasks, schedulerId) =>
      tasks.some(({ task }) => dependsOnOthers(task))
        ? insertKeyedTasks(db, tasks, schedulerId)
        : insertTasks(db, tasks, schedulerId),
    claim: (wanted, schedulerId) => claim(db, wanted, schedulerId),
    claimKeyed: keyedClaims(db),
    claimRated: (wanted, schedulerId, strict) => claimRated(db, wanted, schedulerId, strict),
    assignedTo: (sessionIds) => assignedTo(db, sessionIds),
    wakeDue: (limit) => wakeDue(db, limit),
    failOverdue: (limit) => failOverdue(db, limit),
  };
}

export function attemptStore(db: Database): AttemptStore {
  return {
    touch: (touches) => touch(db, touches),
    commitResults: (requests) => commitResults(db, requests),
    committedResults: (keys) => committedResults(db, keys),
    retake: (key, sessionId, schedulerId) => retake(db, key, sessionId, schedulerId),
    appendOutput: (chunks) => appendOutput(db, chunks),
    attemptFacts: (keys) => attemptFacts(db, keys),
  };
}

export function checkpointStore(db: Database): CheckpointStore {
  return {
    putCheckpoints: (checkpoints) => putCheckpoints(db, checkpoints),
    checkpointOf: (taskId) => checkpointOf(db, taskId),
  };
}

export function taskStore(db: Database): TaskStore {
  return {
    getTask: (id) => getTask(db, id),
    keyOwner: (queue, key) => keyOwner(db, { queue, key }),
    getAttempts: async (id) => [...(await countedAttempts(db, id)).kept],
    countedAttempts: (id) => countedAttempts(db, id),
    listTasks: (filter) => listTasks(db, filter),
    longestHeld: (limit) => longestHeld(db, limit),
    cancelTask: (id, reason) => cancelTask(db, id, reason),
    retryTask: (id, wish) => retryTask(db, id, wish),
    editTask: (id, edit, reason) => editTask(db, id, edit, reason),
    holdTask: (id, reason) => holdTask(db, id, reason),
    releaseTask: (id, reason) => releaseTask(db, id, reason),
    revokeTask: (id, request, decide) => revokeTask(db, id, request, decide),
    outputAfter: (taskId, after, limit, maxBytes) => outputAfter(db, taskId, after, limit, maxBytes),
    followedTask: (id) => followedTask(db, id),
    changedTasks: (seen, withOutput) => changedTasks(db, seen, withOutput),
  };
}
