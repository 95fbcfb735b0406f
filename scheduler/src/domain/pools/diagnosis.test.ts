import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { known, madeObservation, madeSession, madeSupervised, NOW_MS } from "../testing/made-pools.ts";
import { diagnose } from "./diagnosis.ts";
import type { KnownLaunch, LaunchCause } from "./pool-launch.ts";

const EXIT = {
  exitCode: 1,
  signal: "",
  outOfMemory: false,
  outOfMemoryEvidence: "",
  startError: "",
  stopRequested: false,
  ranForMs: 100,
};

const supervisedEnd = (exit: Partial<typeof EXIT>, logTail = "", lastError = "") =>
  madeSupervised({
    lastError,
    end: {
      ...{ time: new Date(NOW_MS), reason: "launch_failed", restartTime: undefined, requeued: 0, logTail },
      exit: { ...EXIT, ...exit },
    },
  });

function assertCause(launch: KnownLaunch, cause: LaunchCause, summary: RegExp): void {
  const found = diagnose(launch, NOW_MS);
  assert.equal(found.cause, cause, found.summary);
  assert.match(found.summary, summary);
  assert.notEqual(found.remedy, "");
  assert.ok(found.evidence.some(({ key }) => key === "launch_id"));
}

describe("the diagnosis of a launch", () => {
  it("names a command that is not there, of a supervisor and of an engine", () => {
    const supervised = supervisedEnd({ exitCode: 127, startError: "spawn worker ENOENT" });
    assertCause(
      known({}, { supervised }),
      "COMMAND_NOT_FOUND",
      /^its command could not be started: spawn worker ENOENT$/,
    );
    const shell = known({
      observation: madeObservation({ phase: "ended", exitCode: 127, logTail: "sh: wrker: not found\n" }),
    });
    assertCause(shell, "COMMAND_NOT_FOUND", /exit code 127\); its last output: sh: wrker: not found$/);
    const engine = madeObservation({ phase: "ended", reason: "StartError", detail: "exec: no such file" });
    assertCause(known({ observation: engine }), "COMMAND_NOT_FOUND", /exec: no such file/);
  });

  it("names an image that cannot be pulled, and any other reason of an engine", () => {
    const pull = madeObservation({
      phase: "pending",
      reason: "ImagePullBackOff",
      detail: "manifest unknown",
    });
    assertCause(known({ observation: pull }), "IMAGE_NOT_FOUND", /ImagePullBackOff: manifest unknown$/);
    const nodes = madeObservation({
      phase: "pending",
      reason: "Unschedulable",
      detail: "0/3 nodes have a GPU",
    });
    assertCause(known({ observation: nodes }), "UNSCHEDULABLE", /Unschedulable: 0\/3 nodes have a GPU$/);
    const mount = madeObservation({ phase: "pending", reason: "FailedMount", detail: "no volume" });
    assertCause(known({ observation: mount }), "PENDING", /FailedMount: no volume$/);
  });

  it("names what an engine refuses, before and after it has given up", () => {
    const quota = { reason: "QuotaExceeded", detail: "exceeded quota: pods" };
    for (const phase of ["pending", "ended"] as const)
      assertCause(
        known({ observation: madeObservation({ phase, ...quota }) }),
        "ENGINE_REFUSED",
        /QuotaExceeded: exceeded quota: pods$/,
      );
  });

  it("distinguishes what an engine took away from what failed, whatever its exit code", () => {
    const evicted = madeObservation({
      ...{ phase: "ended", reason: "Evicted", detail: "low on memory", exitCode: 137 },
    });
    assertCause(
      known({ observation: evicted }),
      "DISRUPTED",
      /away before it was ready: Evicted: low on memory$/,
    );
    const ready = known({ observation: evicted, readyMs: 1 });
    assertCause(ready, "DISRUPTED", /away while it was ready: Evicted: low on memory$/);
  });

  it("has the engine's words beside the exit code", () => {
    const loop = madeObservation({
      ...{ phase: "ended", reason: "CrashLoopBackOff", detail: "", exitCode: 1, logTail: "no torch\n" },
    });
    assertCause(
      known({ observation: loop }),
      "EXITED",
      /^it exited with code 1 \(CrashLoopBackOff\) before it was ready; its last output: no torch$/,
    );
  });

  it("names what keeps a container from being made, from a launch that waits and from one that has ended", () => {
    for (const [reason, cause, detail] of [
      ["ImageNotFound", "IMAGE_NOT_FOUND", "manifest unknown"],
      ["ImagePullDenied", "IMAGE_PULL_DENIED", "no basic auth credentials"],
      ["RegistryUnreachable", "REGISTRY_UNREACHABLE", "dial tcp: connection refused"],
      ["EngineRefused", "ENGINE_REFUSED", "network gpu not found"],
      ["EngineUnreachable", "ENGINE_UNREACHABLE", "connect ENOENT /var/run/docker.sock"],
    ] as const) {
      const waits = madeObservation({ phase: "pending", reason, detail });
      const waited = new RegExp(`^it was not started 10 s after its launch: ${reason}: ${detail}$`);
      assertCause(known({ observation: waits }), cause, waited);
      const over = madeObservation({ phase: "ended", reason, detail });
      assertCause(
        known({ observation: over }),
        cause,
        new RegExp(`^it was not started: ${reason}: ${detail}$`),
      );
    }
  });

  it("distinguishes a pull that goes on from one that stands still", () => {
    const pull = (outputAgeMs: number) =>
      madeObservation({ phase: "pending", reason: "Pulling", detail: "5 of 9 MB", outputAgeMs });
    assertCause(
      known({ observation: pull(1_000) }),
      "STILL_STARTING",
      /^its image is still being pulled 10 s after its launch: 5 of 9 MB, which last grew 1 s ago$/,
    );
    assertCause(
      known({ observation: pull(90_000) }),
      "REGISTRY_UNREACHABLE",
      /makes no progress .* 90 s ago$/,
    );
  });

  it("says that a container was removed, before and after the worker was ready", () => {
    const observation = madeObservation({
      phase: "ended",
      reason: "ContainerRemoved",
      detail: "it was removed",
    });
    assertCause(
      known({ observation }),
      "KILLED",
      /^it lost its container, which was removed before it was ready/,
    );
    const ready = known({ observation, readyMs: NOW_MS });
    assertCause(ready, "LOST", /^it was ready, then lost its container, which was removed/);
  });

  it("takes the last failed dial from the output when nothing else reports it", () => {
    const dial = (error: string) =>
      `x\n${JSON.stringify({ event: "worker.dial.failed", error, address: "a:1" })}\n{"event":"worker.exit"}\n`;
    const running = madeObservation({ logTail: dial("getaddrinfo ENOTFOUND a"), outputAgeMs: 10 });
    assertCause(known({ observation: running }), "CANNOT_RESOLVE", /ENOTFOUND a \(a:1\); it still runs 10 s/);
    const over = madeObservation({
      phase: "ended",
      exitCode: 1,
      logTail: dial("connect ECONNREFUSED 127.0.0.1:1"),
    });
    const found = diagnose(known({ observation: over }), NOW_MS);
    assert.equal(found.cause, "CANNOT_REACH");
    assert.match(found.remedy, /this address is the container itself$/);
    const registered = known({ observation: over }, { session: madeSession({ ready: false }) });
    assertCause(registered, "EXITED", /^it exited with code 1 before it was ready/);
  });

  it("has the engine's word for a container that runs as evidence", () => {
    const observation = madeObservation({ reason: "Unhealthy", detail: "its health check has failed" });
    const { evidence } = diagnose(known({ observation }), NOW_MS);
    assert.ok(evidence.some(({ key, value }) => key === "engine_state" && /^Unhealthy: /.test(value)));
  });

  it("names memory before everything that its end looks like", () => {
    const supervised = supervisedEnd(
      { exitCode: 137, outOfMemory: true, outOfMemoryEvidence: "oom_kill 1" },
      "",
      "ECONNREFUSED",
    );
    assertCause(known({}, { supervised }), "OUT_OF_MEMORY", /^it ran out of memory \(oom_kill 1\)$/);
  });

  it("distinguishes why a worker does not reach the scheduler", () => {
    const dial = (lastError: string) => known({}, { supervised: supervisedEnd({}, "", lastError) });
    assertCause(
      dial("UNAUTHENTICATED: INVALID_TOKEN: the token is not valid"),
      "CANNOT_AUTHENTICATE",
      /^it cannot authenticate/,
    );
    assertCause(
      dial("getaddrinfo ENOTFOUND scheduler.internal"),
      "CANNOT_RESOLVE",
      /ENOTFOUND scheduler\.internal/,
    );
    assertCause(
      dial("connect ECONNREFUSED 127.0.0.1:1"),
      "CANNOT_REACH",
      /ECONNREFUSED 127\.0\.0\.1:1; it exited with code 1$/,
    );
    const refused = known({ observation: madeObservation() }, { rejection: "the token is not valid" });
    assertCause(refused, "CANNOT_AUTHENTICATE", /it still runs 10 s after its launch$/);
  });

  it("has code, signal, exception and last output of one that ended", () => {
    const exited = known({
      observation: madeObservation({ phase: "ended", exitCode: 3, logTail: "a\nno such model\n" }),
    });
    assertCause(
      exited,
      "EXITED",
      /^it exited with code 3 before it was ready; its last output: no such model$/,
    );
    const killed = known({ observation: madeObservation({ phase: "ended", signal: "SIGSEGV" }) });
    assertCause(killed, "KILLED", /^it was killed by SIGSEGV before it was ready; it had no output$/);
  });

  it("distinguishes a start that goes on from one that is silent", () => {
    const growing = madeObservation({ outputBytes: 9_000, outputAgeMs: 2_000 });
    assertCause(
      known({ observation: growing }),
      "STILL_STARTING",
      /it wrote output 2 s ago \(9000 bytes so far\)$/,
    );
    const silent = madeObservation({ outputBytes: 9_000, outputAgeMs: 90_000 });
    assertCause(known({ observation: silent }), "NO_OUTPUT", /its last output was 90 s ago$/);
    assertCause(known({ observation: madeObservation() }), "NO_OUTPUT", /it wrote no output$/);
    assertCause(known(), "LAUNCHER_SILENT", /^launcher host-1 received it and reported nothing of it/);
  });

  it("distinguishes a worker that registered and was never ready from one that was lost", () => {
    const phases = [
      { phase: "custom:model_load", outcome: "ok", elapsedMs: 4_000, detail: "", attributes: {} },
    ];
    const slow = known({}, { session: madeSession({ ready: false, phases }) });
    assertCause(slow, "NEVER_READY", /its last phase is custom:model_load, reached 4 s after its start$/);
    const lost = known(
      { readyMs: 1 },
      { session: madeSession({ live: false, goneMs: NOW_MS - 5_000, goneReason: "lost" }) },
    );
    assertCause(lost, "LOST", /^its worker was ready and is lost 5 s ago/);
    const died = known({
      readyMs: 1,
      observation: madeObservation({ phase: "ended", exitCode: 1, logTail: "bang" }),
    });
    assertCause(died, "LOST", /^it was ready, then exited with code 1; its last output: bang$/);
  });
});
