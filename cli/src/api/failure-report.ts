/** Reports a failure of a command, as text or as JSON. */
import { Code } from "@connectrpc/connect";
import { ErrorReason } from "@muster/protocol";
import { ClientReason, type MusterError, OptionsError } from "@muster/worker/client";
import { CliError } from "../errors.ts";
import { ExitCode } from "../exit-codes.ts";
import type { Screen } from "../io/io.ts";
import { oneLine, printable } from "../output/text.ts";
import { exitCodeOf } from "./status-exit-code.ts";

/** A failure as the CLI reports it, as text or as JSON. */
export interface FailureReport {
  readonly exitCode: ExitCode;
  /** gRPC status in its written form, for example `NOT_FOUND`; empty when no call failed. */
  readonly code: string;
  /** Stable reason, for example `TASK_NOT_FOUND`; empty when there is none. */
  readonly reason: string;
  readonly message: string;
  /** What to do; empty when the message says all. */
  readonly remedy: string;
  /** Fields that the scheduler refused. */
  readonly violations: readonly { readonly field: string; readonly description: string }[];
}

/** A failed call with the addresses that were tried. */
export class CallError extends Error {
  override readonly name = "CallError";
  override readonly cause: MusterError;
  /** The addresses of the client. */
  readonly addresses: readonly string[];
  /** Timeout of the call. */
  readonly timeoutMs: number;

  constructor(cause: MusterError, addresses: readonly string[], timeoutMs: number) {
    super(cause.message, { cause });
    this.cause = cause;
    this.addresses = addresses;
    this.timeoutMs = timeoutMs;
  }
}

/** The report of the error that ended a command. */
export function describeFailure(error: unknown): FailureReport {
  if (error instanceof CliError) {
    const { exitCode, message, remedy } = error;
    const reason = error.reason || (exitCode === ExitCode.USAGE ? "USAGE" : "");
    return { exitCode, code: "", reason, message, remedy, violations: [] };
  }
  if (error instanceof OptionsError) {
    const message = error.faults.join("; ").replace(/\boption (?=scheduler:|token:)/g, "--");
    return { exitCode: ExitCode.USAGE, code: "", reason: "USAGE", message, remedy: "", violations: [] };
  }
  if (error instanceof CallError) return describeCall(error);
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return {
    exitCode: ExitCode.FAILED,
    code: "",
    reason: "",
    message: `unexpected: ${message}`,
    remedy: "this is a bug in muster: please report it with the command and the lines above",
    violations: [],
  };
}

/** Writes a failure to `screen`: `error: ...` and what to do, or one JSON object. */
export function writeFailure(screen: Screen, report: FailureReport, json: boolean): void {
  if (json) {
    screen.write(`${JSON.stringify({ error: report })}\n`);
    return;
  }
  const { red, dim } = screen.colors;
  const lines = [
    `${red("error:")} ${printable(report.message)}`,
    ...report.violations
      .filter(({ description }) => !report.message.includes(description))
      .map(({ field, description }) => `  ${oneLine(field)}: ${oneLine(description)}`),
    ...(report.remedy === "" ? [] : [dim(`  ${printable(report.remedy)}`)]),
  ];
  screen.write(`${lines.join("\n")}\n`);
}

function describeCall({ cause, addresses, timeoutMs }: CallError): FailureReport {
  const at = addresses.join(", ");
  return {
    exitCode: exitCodeOf(cause.code),
    code: writtenForm(cause.code),
    reason: cause.reason,
    message: callMessage(cause, at, timeoutMs),
    remedy: callRemedy(cause),
    violations: cause.violations,
  };
}

function callMessage(cause: MusterError, at: string, timeoutMs: number): string {
  if (cause.reason === ClientReason.WRONG_ADDRESS) return cause.summary;
  if (cause.code === Code.Unavailable && cause.reason === "") {
    // The client's message has the address; a proxy's message does not.
    if (cause.remedy !== "") return cause.summary;
    return `no scheduler answers at ${at}: ${cause.summary || "no connection"}`;
  }
  // Of a worker that has not answered the scheduler says so itself.
  if (cause.code === Code.DeadlineExceeded && cause.reason !== ErrorReason.STACK_NOT_ANSWERED) {
    return `the scheduler at ${at} did not answer within ${timeoutMs / 1000} s`;
  }
  const stable = cause.reason || writtenForm(cause.code);
  return `${inCommands(cause.message) || "the scheduler gave no message"} (${stable})`;
}

/** Messages of the scheduler name API calls; the CLI names its commands instead. */
const COMMANDS: Readonly<Record<string, string>> = {
  GetTask: "`muster task ID`",
  ListTasks: "`muster tasks`",
  ListWorkers: "`muster workers`",
  GetWorker: "`muster worker ID`",
  ListQueues: "`muster queues`",
  ListEvents: "`muster events`",
  ListTaskLogs: "`muster logs ID`",
  WatchTaskLogs: "`muster logs ID --follow`",
  ListLaunches: "`muster launches`",
  ExplainTask: "`muster why ID`",
  ExplainWorker: "`muster why ID`",
  ExplainQueue: "`muster why queue:NAME`",
  RetryTask: "`muster retry ID`",
  CancelTask: "`muster cancel ID`",
  UpdateTask: "`muster edit ID`",
  HoldTask: "`muster hold ID`",
  ReleaseTask: "`muster release ID`",
  RevokeTask: "`muster revoke ID`",
  GetDependencies: "`muster task ID`",
  CreateBatch: "`muster batch create`",
  GetBatch: "`muster batch ID`",
  GetMetricStatistics: "`muster stats`",
  ListBatches: "`muster batches`",
  CloseBatch: "`muster batch close ID`",
  CancelBatch: "`muster batch cancel ID`",
  ResumeQueue: "`muster queue resume NAME`",
  PauseQueue: "`muster queue pause NAME`",
  LimitQueue: "`muster queue limit NAME`",
  RateLimitQueue: "`muster queue rate-limit NAME N/PERIOD`",
  SetQueueWeight: "`muster queue weight NAME`",
  ConfigureQueue: "`muster queue set NAME`",
  DrainWorker: "`muster drain WORKER`",
  PauseWorker: "`muster worker pause ID`",
  KillWorker: "`muster worker kill ID`",
  GetStack: "`muster stack ID`",
  ReleaseWorker: "`muster worker release ID`",
  ResumeWorker: "`muster worker resume ID`",
  ListLocks: "`muster locks`",
  ListFairnessKeys: "`muster fairness list`",
  SetFairnessWeight: "`muster fairness set KEY WEIGHT`",
  UnsetFairnessWeight: "`muster fairness unset KEY`",
  SetConcurrencyLimit: "`muster limit set KEY N`",
  UnsetConcurrencyLimit: "`muster limit unset KEY`",
  ListRateLimits: "`muster rate-limits`",
  SetRateLimit: "`muster rate-limit set KEY N/PERIOD`",
  UnsetRateLimit: "`muster rate-limit unset KEY`",
  PauseKey: "`muster key pause KEY`",
  ResumeKey: "`muster key resume KEY`",
  ListCircuits: "`muster circuits`",
  OpenCircuit: "`muster circuit open KEY`",
  ResetCircuit: "`muster circuit reset KEY`",
  ListSchedules: "`muster schedules`",
  GetSchedule: "`muster schedule show NAME`",
  ExplainSchedule: "`muster why schedule:NAME`",
  SetSchedule: "`muster schedule set NAME`",
  PauseSchedule: "`muster schedule pause NAME`",
  ResumeSchedule: "`muster schedule resume NAME`",
  RunSchedule: "`muster schedule run-now NAME`",
  DeleteSchedule: "`muster schedule delete NAME`",
  ListPools: "`muster pool list`",
  GetPool: "`muster pool show NAME`",
  ListPoolLaunches: "`muster pool status NAME`",
  ExplainPool: "`muster why pool:NAME`",
  PlanPool: "`muster pool plan NAME`",
  ApplyPool: "`muster pool apply FILE`",
  RollBackPool: "`muster pool rollback NAME`",
  ScalePool: "`muster pool scale NAME`",
  PausePool: "`muster pool pause NAME`",
  ResumePool: "`muster pool resume NAME`",
  DeletePool: "`muster pool delete NAME`",
  SubmitTasks: "`muster submit`",
};

function inCommands(message: string): string {
  return message.replaceAll(/\b(?:with|by|see|use) ([A-Z][A-Za-z]+)\b/g, (whole, call: string) => {
    const command = COMMANDS[call];
    return command === undefined ? whole : whole.replace(call, command);
  });
}

/** Remedies in terms of CLI commands, by reason. */
const REMEDIES: Readonly<Partial<Record<string, string>>> = {
  [ErrorReason.TASK_NOT_FOUND]: "`muster tasks` lists those that are kept",
  [ErrorReason.STACK_NOT_ANSWERED]:
    "`muster why WORKER` says what is known of it; wait longer with --within 30s",
  [ErrorReason.TOO_MANY_STACKS]: "",
  [ErrorReason.WORKER_NOT_FOUND]: "`muster workers --all` lists those that are kept",
  [ErrorReason.KEY_NOT_FOUND]: "`muster rate-limits` lists those in use",
  [ErrorReason.QUEUE_NOT_FOUND]: "`muster queues` lists them",
  [ErrorReason.SCHEDULE_NOT_FOUND]: "`muster schedules` lists them",
  [ErrorReason.POOL_NOT_FOUND]: "`muster pool list` lists them",
  [ErrorReason.SCHEDULE_OVERLAPS]: "`muster why schedule:NAME` names the task; run it when that has ended",
  [ErrorReason.TASK_ALREADY_ENDED]: "`muster task ID` shows how; `muster retry ID` runs it again",
  [ErrorReason.TASK_NOT_RETRYABLE]: "`muster task ID` shows its state",
  [ErrorReason.TASK_NOT_EDITABLE]: "`muster task ID` shows its state",
  [ErrorReason.TASK_NOT_HOLDABLE]: "`muster why ID` shows what it does",
  [ErrorReason.TASK_NOT_REVOCABLE]: "`muster why ID` shows what it waits for",
  [ErrorReason.UNIQUE_KEY_HELD]: "`muster task --unique-key KEY` shows the task that holds the key",
  [ErrorReason.PREDECESSOR_NOT_FOUND]: "`muster tasks` lists those that are kept",
  [ErrorReason.WORKER_GONE]: "`muster worker ID` shows how it ended",
  [ClientReason.WRONG_ADDRESS]: "give the gRPC address with --scheduler HOST:PORT or MUSTER_SCHEDULER_ADDR",
};

function callRemedy(cause: MusterError): string {
  if (cause.reason === ErrorReason.QUEUE_FULL)
    return `\`muster why queue:NAME\` shows the limit; submit again${retryAfter(cause)}, or wait for room with --room-timeout 5m`;
  if (/\bTLS\b/.test(cause.summary) && cause.reason === ClientReason.WRONG_ADDRESS) return cause.remedy;
  const known = REMEDIES[cause.reason];
  if (known !== undefined) return known;
  switch (cause.code) {
    case Code.Unavailable:
      // Of an address of another machine the client knows more.
      if (cause.remedy.includes("--grpc-addr")) return cause.remedy;
      return cause.reason === ""
        ? "start one with `muster dev`, or give its address with --scheduler HOST:PORT or MUSTER_SCHEDULER_ADDR"
        : `the scheduler runs but cannot serve this now; try again${retryAfter(cause)}`;
    case Code.DeadlineExceeded:
      return "check that this is the gRPC address (default port 7070), or wait longer with --timeout 60s";
    case Code.Unauthenticated:
      return "give the scheduler's token with MUSTER_TOKEN or --token";
    case Code.PermissionDenied:
      return "the token is valid but lacks the permission; use another one";
    case Code.Unimplemented:
      return "the scheduler does not support this; upgrade it";
    case Code.ResourceExhausted:
      return `lower the load or the size${retryAfter(cause)}`;
    default:
      return "";
  }
}

function retryAfter({ retryAfterMs }: MusterError): string {
  return retryAfterMs === undefined ? "" : ` in ${Math.ceil(retryAfterMs / 1000)} s`;
}

/** `NotFound` as `NOT_FOUND`. */
function writtenForm(code: Code): string {
  return (Code[code] ?? "UNKNOWN").replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}
