#!/usr/bin/env node
import process from "node:process";
import { runScheduler } from "@muster/scheduler";

process.exitCode = await runScheduler(process.argv.slice(2), process.env);
