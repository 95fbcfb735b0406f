/** The role of the store that this folder implements: schedules. */
import type { ScheduleStore } from "../../schedules.ts";
import type { Database } from "../connection/database.ts";
import { failTicks, openTasks, runSchedule, runTicks } from "./run-ticks.ts";
import {
  deleteSchedule,
  dueSchedules,
  getSchedule,
  listSchedules,
  pauseSchedule,
  resumeSchedule,
  setSchedule,
  troubledSchedules,
} from "./schedules.ts";

export function scheduleStore(db: Database): ScheduleStore {
  return {
    dueSchedules: (limit) => dueSchedules(db, limit),
    runTicks: (run) => runTicks(db, run),
    runSchedule: (name, insert) => runSchedule(db, name, insert),
    failTicks: (name, version, failure) => failTicks(db, name, version, failure),
    setSchedule: (wanted, template, reason) => setSchedule(db, wanted, template, reason),
    pauseSchedule: (name, reason) => pauseSchedule(db, name, reason),
    resumeSchedule: (name, reason) => resumeSchedule(db, name, reason),
    deleteSchedule: (name, reason) => deleteSchedule(db, name, reason),
    getSchedule: (name) => getSchedule(db, name),
    listSchedules: (filter) => listSchedules(db, filter),
    troubledSchedules: (lateMs, limit) => troubledSchedules(db, lateMs, limit),
    openTasks: (ids) => openTasks((statement, values) => db.cold(statement, values), ids),
  };
}
