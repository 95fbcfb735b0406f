/** `muster doctor`: checks the connection, the database, the schedulers and the workers. */
import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { splitAddress } from "@muster/common/addresses";
import { formatDuration } from "@muster/common/text/duration-text";
import type { Check, Diagnosis } from "@muster/protocol";
import { CheckStatus, DiagnosisSchema } from "@muster/protocol";
import { Client, type ConnectionOptions, MusterError } from "@muster/worker/client";
import type { Command } from "commander";
import { present } from "../../api/api-session.ts";
import { CallError, describeFailure } from "../../api/failure-report.ts";
import { exitCodeOf } from "../../api/status-exit-code.ts";
import { addConnectionOptions, callConfig, pemOf } from "../../config.ts";
import { type Finding, isWrong, toCheck } from "../../doctor/checks.ts";
import { probe } from "../../doctor/probe.ts";
import { ExitCode } from "../../exit-codes.ts";
import type { Io } from "../../io/io.ts";
import { writeDiagnosis } from "../../output/fleet/diagnosis-view.ts";
import { writeJson } from "../../output/json.ts";

interface Options {
  readonly http?: string;
  readonly settings?: true;
  readonly json?: true;
}

/** Clocks that differ by more make the shown times misleading. */
const SKEW_MS = 2_000;

/** The result of one address. */
interface Visit {
  readonly address: string;
  readonly findings: readonly Finding[];
  readonly diagnosis: Diagnosis | undefined;
  /** Exit code of the command if no other address answers. */
  readonly exitCode: ExitCode;
}

/** `muster doctor`: checks the installation and reports what is wrong. */
export function defineDoctor(
  command: Command,
  io: Io,
  setExitCode: (code: number) => void,
  version: string,
): void {
  command
    .description(
      "Checks the connection, the database, clocks, schedulers and their background loops, versions, and stuck tasks and workers. Lists the settings that were set, with their source. Exit code 0: nothing is wrong; 1: a check found a fault; 4: the scheduler refused the call; 5: no scheduler could be reached, and each step of the connection is reported.",
    )
    .option(
      "--http <addr>",
      "HTTP address of the scheduler, probed when gRPC does not answer; default: the gRPC port plus one",
    )
    .option("--settings", "also list the settings that have their default value")
    .option("--json", "print the Diagnosis as JSON")
    .addHelpText(
      "after",
      `
Piped, each line has: status, name, summary, remedy; then "setting", name,
value, source; with tabs between them.

Examples:
  $ muster doctor
  $ muster doctor --json | jq -r '.checks[] | select(.status | test("WARNING|FAILED")) | .summary'`,
    )
    .action(async (options: Options, self: Command) =>
      setExitCode(await examine(options, self, io, version)),
    );
  addConnectionOptions(command);
}

async function examine(options: Options, command: Command, io: Io, version: string): Promise<ExitCode> {
  const { connection, timeoutMs } = callConfig(command, io.env);
  const all = new Client(connection);
  all.close();
  const visits = await Promise.all(
    all.addresses.map((address) =>
      visit(address, { connection, timeoutMs, http: options.http, io, version }),
    ),
  );
  const answered = visits.find((each) => each.diagnosis !== undefined);
  const own = visits.flatMap(({ findings }) => findings.map(toCheck));
  const diagnosis: Diagnosis = {
    ...(answered?.diagnosis ?? create(DiagnosisSchema)),
    checks: [...own, ...(answered?.diagnosis?.checks ?? [])].toSorted(byArea),
  };
  if (options.json) writeJson(io.stdout, DiagnosisSchema, diagnosis);
  else writeDiagnosis(diagnosis, io, options.settings === true);
  if (answered === undefined) return visits[0]?.exitCode ?? ExitCode.UNREACHABLE;
  return diagnosis.checks.some(isWrong) ? ExitCode.FAILED : ExitCode.DONE;
}

interface VisitOptions {
  readonly connection: ConnectionOptions;
  readonly timeoutMs: number;
  readonly http: string | undefined;
  readonly io: Io;
  readonly version: string;
}

async function visit(address: string, options: VisitOptions): Promise<Visit> {
  const { connection, timeoutMs, io, version } = options;
  const client = new Client({ ...connection, scheduler: address });
  try {
    const asked = io.clock.now();
    const response = await client.fleet.diagnose({}, { timeoutMs });
    const answered = io.clock.now();
    const diagnosis = present(response.diagnosis, "a diagnosis");
    const findings = [
      {
        name: "connection.scheduler",
        status: CheckStatus.OK,
        summary: `${address} answers and accepts the credentials`,
      },
      ownClock(diagnosis, asked, answered),
      ownVersion(diagnosis, version),
    ];
    return { address, findings, diagnosis, exitCode: ExitCode.DONE };
  } catch (error) {
    if (!(error instanceof MusterError)) throw error;
    return { address, diagnosis: undefined, ...(await unanswered(address, error, options)) };
  } finally {
    client.close();
  }
}

async function unanswered(
  address: string,
  error: MusterError,
  { connection, timeoutMs, http, io }: VisitOptions,
): Promise<{ findings: Finding[]; exitCode: ExitCode }> {
  const failure = describeFailure(new CallError(error, [address], timeoutMs));
  const exitCode = exitCodeOf(error.code);
  const finding: Finding = {
    name: "connection.scheduler",
    status: CheckStatus.FAILED,
    summary: failure.message,
    remedy: failure.remedy,
  };
  // A scheduler answered: its answer is the finding.
  const answered =
    error.reason !== "" || error.code === Code.Unimplemented || error.code === Code.Unauthenticated;
  if (answered) return { findings: [finding], exitCode };
  const { host, port } = splitAddress(address);
  const tried = await probe({
    host,
    port,
    tls: pemOf(connection, io.env),
    http: http ?? `${host.includes(":") ? `[${host}]` : host}:${port + 1}`,
  });
  const reached = tried.every(({ name, status }) => name === "connection.http" || status === CheckStatus.OK);
  const open = tried.some(({ name, status }) => name === "connection.port" && status === CheckStatus.OK);
  const hangs = open && error.code === Code.DeadlineExceeded;
  return {
    findings: [
      hangs
        ? {
            ...finding,
            summary: `${failure.message}, although its port is open: the process is stopped or hangs, or it is not a scheduler`,
            remedy:
              "check the process (state T in `ps` means stopped) and its log; restarting a scheduler loses no work",
          }
        : finding,
      ...tried,
    ],
    // A connection that failed counts more than the status of the call.
    exitCode: reached ? exitCode : ExitCode.UNREACHABLE,
  };
}

function ownClock({ schedulerTime }: Diagnosis, asked: number, answered: number): Finding {
  const name = "clocks.cli";
  if (schedulerTime === undefined)
    return { name, status: CheckStatus.SKIPPED, summary: "the scheduler reported no time" };
  const slack = (answered - asked) / 2;
  const skew = timestampMs(schedulerTime) - (asked + slack);
  const apart = formatDuration(Math.abs(skew));
  if (Math.abs(skew) <= SKEW_MS + slack)
    return {
      name,
      status: CheckStatus.OK,
      summary: `this machine and the scheduler differ by less than ${formatDuration(SKEW_MS + slack)}`,
    };
  return {
    name,
    status: CheckStatus.WARNING,
    summary: `this machine's clock is ${apart} ${skew > 0 ? "behind" : "ahead of"} the scheduler's: the ages shown here are wrong by as much`,
    remedy: "synchronize the clocks of both machines (NTP)",
    evidence: [{ key: "skew_ms", value: String(Math.round(-skew)) }],
  };
}

function ownVersion({ schedulerVersion }: Diagnosis, version: string): Finding {
  const name = "versions.cli";
  if (schedulerVersion === version)
    return { name, status: CheckStatus.OK, summary: `the CLI has the scheduler's version, ${version}` };
  return {
    name,
    status: CheckStatus.NOTE,
    summary: `the CLI has version ${version}, the scheduler ${schedulerVersion}`,
    remedy: "install the CLI of the scheduler's release if its output looks wrong",
  };
}

const AREAS = [
  "connection",
  "database",
  "clocks",
  "schedulers",
  "loops",
  "versions",
  "configuration",
  "work",
  "workers",
];

function byArea(a: Check, b: Check): number {
  const place = ({ name }: Check): number => {
    const at = AREAS.indexOf(name.split(".", 1)[0] ?? "");
    return at === -1 ? AREAS.length : at;
  };
  return place(a) - place(b);
}
