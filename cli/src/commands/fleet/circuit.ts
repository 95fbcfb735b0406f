/** `muster circuit open KEY` and `muster circuit reset KEY`. */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { parseDuration } from "@muster/common/duration";
import { type Circuit, CircuitSchema } from "@muster/protocol";
import type { Command } from "commander";
import { present, withApiSession } from "../../api/api-session.ts";
import { argument } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { signed } from "../../io/requester.ts";
import { momentCell } from "../../output/cells.ts";
import { writeJson } from "../../output/json.ts";
import { oneLine } from "../../output/text.ts";

interface OpenOptions {
  readonly reason?: string;
  readonly for?: number;
  readonly json?: true;
}

interface ResetOptions {
  readonly reason?: string;
  readonly json?: true;
}

export function defineCircuit(circuit: Command, io: Io): void {
  circuit.description("Opens or resets a circuit. `muster circuits` lists them.").helpCommand(false);
  const open = circuit
    .command("open")
    .argument("<key>", "key of the circuit; one that no task has yet is allowed")
    .description(
      "Opens a circuit: no task with it starts until it is reset, or until --for has passed and probes have succeeded. Running tasks continue.",
    )
    .option("--reason <text>", "reason to record; your user name is added")
    .option(
      "--for <duration>",
      "then let probes through, for example 1h; default: until the reset",
      argument(parseDuration),
    )
    .option("--json", "print the Circuit as JSON")
    .addHelpText(
      "after",
      '\nExamples:\n  $ muster circuit open payments.charge --reason "maintenance of the provider" --for 1h',
    )
    .action((key: string, options: OpenOptions, self: Command) => openCircuit(key, options, self, io));
  addConnectionOptions(open);
  const reset = circuit
    .command("reset")
    .argument("<key>", "key of the circuit")
    .description("Closes a circuit and forgets what it has counted. One that is closed is no error.")
    .option("--reason <text>", "reason to record; your user name is added")
    .option("--json", "print the Circuit as JSON")
    .addHelpText(
      "after",
      '\nExamples:\n  $ muster circuit reset payments.charge --reason "the key is renewed"',
    )
    .action((key: string, options: ResetOptions, self: Command) => resetCircuit(key, options, self, io));
  addConnectionOptions(reset);
}

async function openCircuit(key: string, options: OpenOptions, command: Command, io: Io): Promise<void> {
  const openFor = options.for === undefined ? {} : { openFor: durationFromMs(options.for) };
  const circuit = await withApiSession(command, io, async ({ fleet, call }) =>
    present(
      (await fleet.openCircuit({ key, reason: signed(options.reason), ...openFor }, call)).circuit,
      "a circuit",
    ),
  );
  if (options.json) writeJson(io.stdout, CircuitSchema, circuit);
  else io.stdout.write(`the circuit ${oneLine(key)} is open; ${probes(circuit, io)}\n`);
}

async function resetCircuit(key: string, options: ResetOptions, command: Command, io: Io): Promise<void> {
  const circuit = await withApiSession(command, io, async ({ fleet, call }) =>
    present((await fleet.resetCircuit({ key, reason: signed(options.reason) }, call)).circuit, "a circuit"),
  );
  if (options.json) writeJson(io.stdout, CircuitSchema, circuit);
  else io.stdout.write(`the circuit ${oneLine(key)} is closed\n`);
}

function probes({ probeTime }: Circuit, io: Io): string {
  const cell = momentCell(probeTime, io.clock.now());
  return cell ? `it probes ${cell.text}` : "it stays open until `muster circuit reset`";
}
