/** Reads the spec of a pool from a file or from the standard input. */
import { readFile, stat } from "node:fs/promises";
import type { PoolSpec } from "@muster/protocol";
import { CliError } from "../errors.ts";
import { ExitCode } from "../exit-codes.ts";
import type { Io } from "../io/io.ts";
import { MAX_FILE_BYTES, PoolFileError, readPoolFile } from "./pool-file.ts";

/** @throws CliError (usage) with every fault of the file. */
export async function readSpec(path: string, io: Io): Promise<PoolSpec> {
  const text = path === "-" ? await readInput(io) : await readText(path);
  try {
    return readPoolFile(text);
  } catch (error) {
    if (!(error instanceof PoolFileError)) throw error;
    const where = path === "-" ? "standard input" : path;
    throw new CliError(
      `${where} is no spec of a pool:\n${error.faults.map((fault) => `  ${fault}`).join("\n")}`,
      {
        exitCode: ExitCode.USAGE,
        remedy: "docs/pools.md has an example with every field",
      },
    );
  }
}

async function readText(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES) throw tooLarge(path);
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`, {
      exitCode: ExitCode.USAGE,
    });
  }
}

async function readInput({ stdin }: Io): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stdin) {
    chunks.push(Buffer.from(chunk));
    bytes += chunks.at(-1)?.byteLength ?? 0;
    if (bytes > MAX_FILE_BYTES) throw tooLarge("standard input");
  }
  return Buffer.concat(chunks).toString("utf8");
}

function tooLarge(what: string): CliError {
  return new CliError(`${what} has more than ${MAX_FILE_BYTES} bytes`, { exitCode: ExitCode.USAGE });
}
