/** Writes the archive of the protos into `.packages`, beside the packages of a release. */
import { join } from "node:path";
import { ROOT } from "../support/repo/checks.ts";
import { writeProtoArchive } from "../support/repo/proto-archive.ts";

process.stdout.write(`${await writeProtoArchive(join(ROOT, ".packages"))}\n`);
