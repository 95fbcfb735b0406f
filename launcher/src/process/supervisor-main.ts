/** The program that supervises one worker of the process driver. It outlives the launcher. */
import { text } from "node:stream/consumers";
import { Redactor } from "@muster/common/text/redact";
import { Client } from "@muster/worker/client";
import { systemClock } from "../clock.ts";
import { processEnvironment } from "../environment.ts";
import { STOP_SIGNALS, type SupervisorIo } from "../io.ts";
import { noticeSettings } from "../notices/notice-settings.ts";
import { DEFAULT_RESTART_TIMINGS } from "../supervise/restart.ts";
import { supervise } from "../supervise/supervisor.ts";
import { identify, LaunchFolder } from "./launch-folder.ts";
import type { SupervisedOrder } from "./supervised-order.ts";

/** Output that is kept on disk: this file and one older. */
const OUTPUT_BYTES = 20 * 1024 * 1024;
const OUTPUT_FILES = 1;
const LOG_BYTES = 1024 * 1024;

/** The scheduler may be away for as long as a restart takes; later the driver still knows the end. */
const REPORT_TIMEOUT_MS = 60_000;

/** Its outputs lead nowhere: what it has to say is in the files of its folder. */
const IO: SupervisorIo = {
  stdout: process.stdout,
  stderr: {
    isTTY: false,
    colors: { dim: String, red: String, yellow: String },
    stream: process.stderr,
    write: (line) => void process.stderr.write(line),
  },
  clock: systemClock,
  onStop(callback) {
    for (const signal of STOP_SIGNALS) process.on(signal, callback);
    return () => {
      for (const signal of STOP_SIGNALS) process.off(signal, callback);
    };
  },
};

/** Runs the order on the standard input; resolves with the exit code. */
async function main(): Promise<number> {
  const input = await text(process.stdin);
  let order: SupervisedOrder;
  try {
    order = JSON.parse(input) as SupervisedOrder;
  } catch (error) {
    // The launcher was killed while it wrote: nothing was claimed, and the next launcher launches it.
    if (error instanceof SyntaxError) return 1;
    throw error;
  }
  const { launchId, workerId, pool, command, env, directory, registerTimeoutMs, stopTimeoutMs } = order;
  const folder = new LaunchFolder(order.folder);
  if (!folder.claim(identify(process.pid))) return 0;
  return supervise(
    {
      ...{ command, env, workerId, pool, registerTimeoutMs, stopTimeoutMs },
      ...(directory === "" ? {} : { directory }),
      launchId,
      restart: "never",
      timings: DEFAULT_RESTART_TIMINGS,
      reportTimeoutMs: REPORT_TIMEOUT_MS,
      redactor: new Redactor(env),
      notices: noticeSettings(processEnvironment()),
      logFile: { path: folder.output, maxBytes: OUTPUT_BYTES, keep: OUTPUT_FILES },
      // Apart: the driver takes the size of the output for what the worker has written.
      ownLogFile: { path: folder.supervisorLog, maxBytes: LOG_BYTES, keep: OUTPUT_FILES },
      onStarted: (pid) => {
        folder.worker = identify(pid);
      },
      onEnded: ({ message, startError }) => {
        folder.exit = {
          exitCode: message.exitCode,
          signal: message.signal ?? "",
          outOfMemory: message.outOfMemory ?? false,
          detail: message.outOfMemoryEvidence || message.startError || "",
          reason: startError ? "StartError" : "",
          logTail: message.logTail ?? "",
        };
      },
    },
    new Client(),
    IO,
  );
}

process.exitCode = await main();
