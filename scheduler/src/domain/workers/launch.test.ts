import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ExitRecord, endingSignal, exitInWords, launchEndReason } from "./launch.ts";
import type { StartupPhaseRecord } from "./worker.ts";

function exit(fields: Partial<ExitRecord>): ExitRecord {
  return {
    signal: "",
    outOfMemory: false,
    outOfMemoryEvidence: "",
    startError: "",
    stopRequested: false,
    ranForMs: 1_000,
    ...fields,
  };
}

const FATAL = {
  phase: "startup",
  exceptionClass: "TypeError",
  exceptionMessage: "no",
  traceback: "",
  exitCode: 1,
};

function phases(...names: string[]): StartupPhaseRecord[] {
  return names.map((phase) => ({ phase, outcome: "ok", elapsedMs: 0, detail: "", attributes: {} }));
}

describe("why a launch is over", () => {
  const cases: [string, Partial<ExitRecord>, string[], boolean, string][] = [
    ["a command that cannot be started", { startError: "ENOENT" }, [], false, "launch_failed"],
    ["an exit before it registered", { exitCode: 3 }, ["boot"], false, "launch_failed"],
    [
      "even one with code 0: a worker that ends unasked has not worked",
      { exitCode: 0 },
      [],
      false,
      "launch_failed",
    ],
    [
      "its register watchdog",
      { exitCode: 1 },
      ["boot", "startup_timeout_unregistered"],
      false,
      "startup_timeout",
    ],
    [
      "the watchdog's SIGKILL of a blocked process",
      { signal: "SIGKILL" },
      ["startup_timeout_unregistered"],
      false,
      "startup_timeout",
    ],
    ["a fatal report", { exitCode: 1, fatal: FATAL }, ["boot"], false, "fatal"],
    ["a signal", { signal: "SIGKILL" }, [], true, "killed"],
    ["a signal that a shell reports", { exitCode: 137 }, [], true, "killed"],
    ["lack of memory, whatever the signal", { signal: "SIGABRT", outOfMemory: true }, [], true, "oom_killed"],
    ["an orderly end", { exitCode: 0 }, [], true, "finished"],
    ["a normal end that only the log shows", { exitCode: 0 }, ["boot", "registered"], false, "finished"],
    ["an exit code after it registered", { exitCode: 9 }, [], true, "fatal"],
    ["a request to stop", { exitCode: 0, stopRequested: true }, ["boot"], false, "finished"],
    ["a request to stop, unhandled", { signal: "SIGTERM", stopRequested: true }, [], true, "finished"],
    ["a SIGTERM without a request", { signal: "SIGTERM" }, [], true, "killed"],
    [
      "an operator's request, whichever signal it took",
      { signal: "SIGKILL", stopRequested: true, killReason: "hangs" },
      [],
      true,
      "finished",
    ],
    ["a request to stop that was ignored", { signal: "SIGKILL", stopRequested: true }, [], true, "killed"],
  ];
  for (const [name, fields, names, registered, reason] of cases) {
    it(name, () => assert.equal(launchEndReason(exit(fields), phases(...names), registered), reason));
  }
});

describe("how a process ended, in words", () => {
  it("names the code or the signal, and says where a signal is guessed from a code", () => {
    assert.equal(exitInWords(exit({ exitCode: 3 })), "exited with code 3");
    assert.equal(exitInWords(exit({ signal: "SIGSEGV" })), "was killed by SIGSEGV");
    assert.match(exitInWords(exit({ exitCode: 139 })), /exit code 139, .* report SIGSEGV/);
    assert.match(
      exitInWords(exit({ outOfMemory: true, outOfMemoryEvidence: "heap full" })),
      /memory \(heap full\)/,
    );
    assert.match(exitInWords(exit({ startError: "spawn x ENOENT" })), /could not be started: spawn x ENOENT/);
  });

  it("leaves the codes alone with which a worker answers a second signal", () => {
    assert.equal(endingSignal(exit({ exitCode: 130 })), "");
    assert.equal(endingSignal(exit({ exitCode: 143 })), "");
  });
});
