/** What a container's state means for its launch. */
import { Redactor } from "@muster/common/text/redact";
import type { ObservedLaunch } from "../driver.ts";
import { LABELS } from "./container.ts";
import type { ContainerFacts } from "./engine.ts";
import { isOfStoppingEngine } from "./engine-errors.ts";

/** What every observation of a launch without output has. */
export const NO_OUTPUT = {
  ...{ signal: "", outOfMemory: false, outputBytes: 0, outputAgeMs: undefined, logTail: "" },
} as const;

const MIB = 1024 * 1024;

/** What runc and the engine write before the cause. */
const PREFIXES =
  /^(?:failed to create (?:shim )?task(?: for container)?: |OCI runtime create failed: |runc create failed: |unable to start container process: |error during container init: |container_linux\.go:\d+: starting container process caused: )+/;

/** The command is not there, or is no program. */
const NO_COMMAND = /exec: |executable file not found|exec format error/;

/** Exit codes of the engine for a command that is missing or not executable. */
const NO_COMMAND_CODES: ReadonlySet<number> = new Set([126, 127]);

/** Exit code of the engine for a process that SIGKILL ended. */
const KILLED_CODE = 137;

/** State of a launch by its container. */
export type ContainerState = Pick<ObservedLaunch, "phase" | "reason" | "detail" | "exitCode" | "outOfMemory">;

/** The state of a launch by what the engine says of its container. */
export function stateOf({ State, HostConfig }: ContainerFacts): ContainerState {
  const { Status, Error: failure, ExitCode, OOMKilled, Health } = State;
  const seen = { reason: "", detail: "", outOfMemory: false };
  switch (Status) {
    case "created":
      if ((failure === "" && ExitCode === 0) || isOfStoppingEngine(failure))
        return { ...seen, phase: "pending", detail: "its container is made and not started" };
      return startFailure(ExitCode, failure);
    case "paused":
      return { ...seen, phase: "running", reason: "Paused", detail: "its container is paused" };
    case "running":
    case "restarting": {
      if (Health?.Status !== "unhealthy") return { ...seen, phase: "running" };
      const last = oneLine(Health.Log.at(-1)?.Output ?? "");
      return {
        ...seen,
        phase: "running",
        reason: "Unhealthy",
        detail: `its health check has failed ${Health.FailingStreak} times in a row${last ? `: ${last}` : ""}`,
      };
    }
    default: {
      // The engine says so as well when only a child of the command was ended for its memory.
      const outOfMemory = OOMKilled && ExitCode !== 0;
      const limit = HostConfig.Memory
        ? `its limit is ${Math.round(HostConfig.Memory / MIB)} MiB`
        : "it has no limit";
      // The engine learns of the lack of memory from another event than of the end, and misses it in 1 of 10 ends (20.10, cgroup v1).
      const killed =
        ExitCode === KILLED_CODE && HostConfig.Memory
          ? `it was killed; the engine reports no lack of memory, but can miss one: ${limit}`
          : "";
      return {
        phase: "ended",
        reason: outOfMemory ? "OOMKilled" : "",
        detail: outOfMemory ? `OOMKilled by the engine; ${limit}` : withoutPrefixes(failure) || killed,
        exitCode: ExitCode,
        outOfMemory,
      };
    }
  }
}

function startFailure(exitCode: number, failure: string): ContainerState {
  const detail = withoutPrefixes(failure);
  const command = NO_COMMAND_CODES.has(exitCode) || NO_COMMAND.test(failure);
  return { phase: "ended", reason: command ? "StartError" : "EngineRefused", detail, outOfMemory: false };
}

function withoutPrefixes(failure: string): string {
  return oneLine(failure)
    .replace(PREFIXES, "")
    .replace(/: unknown$/, "");
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ").trim().slice(0, 1_000);
}

/** Masks the secrets of a container, also of those that an earlier launcher made. */
export function redactorOf({ Config }: ContainerFacts): Redactor {
  const env = Object.fromEntries(
    Config.Env.map((entry) => {
      const [name = ""] = entry.split("=", 1);
      return [name, entry.slice(name.length + 1)];
    }),
  );
  const names = (Config.Labels[LABELS.secrets] ?? "").split(",");
  // A secret by reference may have any name.
  const secrets = names.map((name, at) => [`SECRET_${at}`, env[name]] as const);
  return new Redactor({ ...env, ...Object.fromEntries(secrets) });
}
