/** The archive of the protos that a release has, for clients in other languages. */
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "./checks.ts";

/** One module with all files, so that `buf` and `protoc -I .` need nothing else. */
const BUF_YAML = "version: v2\nmodules:\n  - path: .\n";

const README = `The protocol of Muster

    buf generate                                     # with a buf.gen.yaml of your own
    protoc -I . --python_out=out muster/v1/*.proto   # or any other plugin

google/rpc has what errors carry (google.rpc.Status in the trailer grpc-status-details-bin). The rules of the worker stream are in
docs/protocol.md of the repository; \`muster conformance\` tests a worker against them.
`;

/**
 * Writes `muster-protos-VERSION.tar.gz` into the folder and returns its path. Two archives of the same files are the same byte for
 * byte.
 */
export async function writeProtoArchive(folder: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(ROOT, "gen", "package.json"), "utf8"));
  const name = `muster-protos-${version}`;
  const work = await mkdtemp(join(tmpdir(), "muster-protos-"));
  try {
    const top = join(work, name);
    await cp(join(ROOT, "proto"), top, { recursive: true });
    await cp(join(ROOT, "third_party", "googleapis", "google"), join(top, "google"), { recursive: true });
    await cp(join(ROOT, "LICENSE"), join(top, "LICENSE"));
    await writeFile(join(top, "buf.yaml"), BUF_YAML);
    await writeFile(join(top, "README.md"), README);
    await mkdir(folder, { recursive: true });
    const archive = join(folder, `${name}.tar.gz`);
    const same = [
      "--sort=name",
      "--mtime=@0",
      "--owner=0",
      "--group=0",
      "--numeric-owner",
      "--mode=u=rwX,go=rX",
    ];
    const run = promisify(execFile);
    await run("tar", ["--create", ...same, "--use-compress-program=gzip -n", "--file", archive, name], {
      cwd: work,
    });
    return archive;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
