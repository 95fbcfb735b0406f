/** The environment variables of a worker, a client and the commands, with what each sets. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../checks.ts";
import type { CommandTable } from "./command-tables.ts";
import type { OptionTable } from "./option-tables.ts";

/** A variable with the option that it is the default of, or without one. */
export interface VariableRow {
  readonly variable: string;
  /** Undefined: the variable is the only way. */
  readonly sets:
    | { readonly table: OptionTable; readonly option: string }
    | { readonly command: string }
    | undefined;
  readonly default: string;
  readonly meaning: string;
}

/** Variables that no option has. */
const OTHERS: readonly Omit<VariableRow, "sets">[] = [
  {
    variable: "grpc_proxy",
    default: "`https_proxy`, else `http_proxy`, else none",
    meaning:
      "An HTTP proxy between the worker and the scheduler. Not used for a scheduler on the same machine, nor by clients and the " +
      "command line.",
  },
  {
    variable: "no_grpc_proxy",
    default: "`no_proxy`, else none",
    meaning: "Host names, separated by commas, that are connected to without that proxy.",
  },
  {
    variable: "OTEL_EXPORTER_OTLP_ENDPOINT",
    default: "none",
    meaning:
      "Where traces are sent. The other variables of OpenTelemetry (`OTEL_*`) work, too: [tracing](../tracing.md), " +
      "[metrics](../metrics.md).",
  },
  {
    variable: "DOCKER_CONFIG",
    default: "`~/.docker`",
    meaning:
      "Folder of the `config.json` of `docker login`, from which `muster launcher --driver docker` takes the credentials of registries. It finds the engine as `docker` does, by `DOCKER_HOST`, `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH`.",
  },
  {
    variable: "NO_COLOR",
    default: "none",
    meaning: "Any value: the command line writes no colours. `TERM=dumb` does the same.",
  },
  {
    variable: "MUSTER_LAUNCH_ID",
    default: "set by `muster run`",
    meaning: "Id of the launch of this process. Not for you to set; `MUSTER_SUPERVISOR_PID` likewise.",
  },
  {
    variable: "MUSTER_LINK_ID",
    default: "set by `muster link`",
    meaning:
      "Id by which what a worker behind a link starts is found. Not for you to set; `MUSTER_LINK_FD`, `MUSTER_LINK_TICK`, `MUSTER_LINK_DIR` and `MUSTER_LINK_VERSION` are for the worker ([link.md](../link.md)).",
  },
  {
    variable: "MUSTER_ISOLATE_ID",
    default: "set for the process of an isolated handler",
    meaning: "Id by which what that process starts is found. Not for you to set.",
  },
  {
    variable: "MUSTER_TASK_ID",
    default: "set for programs of `command()`",
    meaning:
      "Id of the task that the program runs; `MUSTER_ATTEMPT_ID` is that of the attempt, `MUSTER_COMMAND_ID` that of the run.",
  },
  {
    variable: "KUBECONFIG",
    default: "the account of the pod, else `~/.kube/config`",
    meaning:
      "The cluster of `muster launcher --driver kubernetes`. Kubernetes sets `KUBERNETES_SERVICE_HOST` in a pod ([kubernetes.md](../kubernetes.md)).",
  },
  {
    variable: "MUSTER_KUBERNETES_NAMESPACES",
    default: "the namespace of the context or of the pod",
    meaning: "Namespaces, separated by commas, in which `muster launcher --driver kubernetes` runs pods.",
  },
];

/** Of variables that hold a part of an option, or its value in another form. */
const OWN_MEANING: Readonly<Record<string, string>> = {
  MUSTER_TLS_CA: "PEM file of the certificates to trust. Any of the three variables turns on TLS.",
  MUSTER_TLS_CERT: "PEM file of the client certificate; with `MUSTER_TLS_KEY`.",
  MUSTER_TLS_KEY: "PEM file of the private key of `MUSTER_TLS_CERT`.",
  AWS_ACCESS_KEY_ID: "Id of the access key.",
  AWS_SECRET_ACCESS_KEY: "Secret of the access key.",
  AWS_SESSION_TOKEN: "Token of temporary credentials.",
  WORKER_ARTIFACT_DIR: "Folder of what `ctx.artifact()` makes.",
  WORKER_TASK_LOGS: "`off`, or the least level of the lines of `ctx.log` that are kept with the task.",
};

/** Codes of warnings, which look like variables, and a variable of the scheduler (docs/operations.md). */
const NOT_HERE = new Set(["MUSTER_OTEL", "MUSTER_PAYLOAD_KEPT", "DATABASE_URL"]);

/** Folders whose sources read variables of a worker, a client or a command. */
const SOURCES = ["worker-sdk/src", "launcher/src", "cli/src"];

/** The rows by name, those without an option last. */
export function readVariables(
  tables: readonly OptionTable[],
  commands: readonly CommandTable[],
): { readonly rows: readonly VariableRow[]; readonly faults: readonly string[] } {
  const rows = new Map<string, VariableRow>();
  const ofWorkers = tables.toSorted(
    (a, b) => Number(b.name === "WorkerOptions") - Number(a.name === "WorkerOptions"),
  );
  for (const table of ofWorkers)
    for (const option of table.options)
      for (const variable of namesIn(option.default ?? ""))
        if (!rows.has(variable))
          rows.set(variable, {
            variable,
            sets: { table, option: option.name },
            default: after(variable, option.default ?? ""),
            meaning: OWN_MEANING[variable] ?? option.meaning,
          });
  for (const { name, options } of commands)
    for (const { variable, flags, default: standard = "none", meaning } of options)
      if (variable !== undefined && !rows.has(variable))
        rows.set(variable, {
          variable,
          sets: { command: `${name} ${flags}`.trim() },
          default: standard,
          meaning,
        });
  const all = [
    ...[...rows.values()].toSorted((a, b) => (a.variable < b.variable ? -1 : 1)),
    ...OTHERS.map((row) => ({ ...row, sets: undefined })),
  ];
  const text = JSON.stringify(all);
  const faults = [...readNames()]
    .filter((name) => !NOT_HERE.has(name) && !text.includes(name) && !name.startsWith("OTEL_"))
    .map(
      (name) =>
        `variable ${name}: is read, and no @default of an option names it; name it there, or add it to ` +
        "test/support/repo/options/variable-rows.ts",
    );
  return { rows: all, faults };
}

/** What a `@default` says of the case that the variable is not set. */
function after(variable: string, text: string): string {
  return /[,;] else (.+)$/.exec(text.slice(text.indexOf(`\`${variable}\``)))?.[1] ?? "none";
}

/** The variables that a `@default` names, for example `WORKER_ID` or `WORKER_WARN_<PHASE>_S`. */
function namesIn(text: string): readonly string[] {
  return [...text.matchAll(/`((?:MUSTER|WORKER|KEEP|AWS)_[A-Z0-9_<>]+)`/g)].map(([, name = ""]) => name);
}

/** Every variable that the sources read. */
function readNames(): ReadonlySet<string> {
  const names = new Set<string>();
  for (const folder of SOURCES)
    for (const file of readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })) {
      if (!file.endsWith(".ts") || /\.test\.ts$|(?:^|\/)testing\//.test(file)) continue;
      const source = readFileSync(join(ROOT, folder, file), "utf8").replaceAll(/\/\*\*[\s\S]*?\*\//g, "");
      for (const [, read, named] of source.matchAll(
        /\b[eE]nv(?:ironment)?\.((?:[A-Z][A-Z0-9_]*|\w+_proxy))\b|"((?:MUSTER|WORKER|KEEP)_[A-Z_]+)"/g,
      ))
        names.add(read ?? named ?? "");
    }
  return names;
}
