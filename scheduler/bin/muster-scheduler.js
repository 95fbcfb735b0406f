#!/usr/bin/env node
/** The entry point of the scheduler's program. */
import process from "node:process";
import { reapAsProcessOne, runScheduler } from "@muster/scheduler";

reapAsProcessOne();

process.exitCode = await runScheduler(process.argv.slice(2), process.env);
