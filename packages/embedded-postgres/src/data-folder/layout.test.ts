import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, it } from "node:test";
import { inspect, layoutOf, makeFolders, unusable } from "./layout.ts";

const folders: string[] = [];
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

/** A data folder with the given files; a name that ends with a slash is a folder. */
async function folderWith(...names: string[]) {
  const folder = await mkdtemp(join(tmpdir(), "muster-layout-"));
  folders.push(folder);
  for (const name of names) {
    await mkdir(join(folder, name.endsWith("/") ? name : dirname(name)), { recursive: true });
    if (!name.endsWith("/")) await writeFile(join(folder, name), "");
  }
  return layoutOf(folder);
}

describe("a look at a data folder", () => {
  for (const [what, names, expected] of [
    ["is not there", undefined, { hasCluster: false, leftovers: [] }],
    ["is empty", [], { hasCluster: false, leftovers: [] }],
    ["is a fresh volume", ["lost+found/"], { hasCluster: false, leftovers: [] }],
    [
      "holds another data folder",
      ["demo/lock", "demo/cluster/PG_VERSION"],
      { hasCluster: false, leftovers: [] },
    ],
    ["has a password only", ["password", "lock"], { hasCluster: false, leftovers: [] }],
    ["has an empty cluster folder", ["cluster/"], { hasCluster: false, leftovers: [] }],
    ["has a cluster", ["password", "cluster/PG_VERSION"], { hasCluster: true, leftovers: [] }],
    ["has a cluster and a note", ["NOTE", "cluster/PG_VERSION"], { hasCluster: true, leftovers: [] }],
    [
      "has half a cluster of an interrupted initdb",
      ["password", "init-0123456789ab/password", "init-0123456789ab/cluster/base/"],
      { hasCluster: false, leftovers: ["init-0123456789ab"] },
    ],
  ] as const) {
    it(`that ${what}`, async () => {
      const layout = names ? await folderWith(...names) : layoutOf(join(tmpdir(), "muster-no-such-folder"));
      assert.deepEqual(await inspect(layout), expected);
    });
  }

  for (const [what, names, code, message] of [
    [
      "holds foreign files",
      ["letter.txt", "photo.jpg"],
      "FOREIGN_FILES",
      /: letter\.txt, photo\.jpg\. Nothing/,
    ],
    ["holds a folder that is no data folder", ["demo/lock", "demo/letter.txt"], "FOREIGN_FILES", /: demo\. /],
    ["is another PostgreSQL's", ["PG_VERSION", "base/"], "FOREIGN_FILES", /of another PostgreSQL/],
    ["has foreign files for a cluster", ["cluster/letter.txt"], "FOREIGN_FILES", /letter\.txt/],
    ["has lost its PG_VERSION", ["cluster/base/", "cluster/global/"], "DAMAGED_CLUSTER", /PG_VERSION/],
    [
      "has foreign files where initdb was interrupted",
      ["init-0123456789ab/cluster/letter.txt"],
      "FOREIGN_FILES",
      /init-0123456789ab.*letter\.txt/,
    ],
    [
      "has foreign files beside an interrupted initdb's cluster",
      ["cluster/PG_VERSION", "init-0123456789ab/letter.txt"],
      "FOREIGN_FILES",
      /init-0123456789ab.*letter\.txt/,
    ],
  ] as const) {
    it(`that ${what} is refused`, async () => {
      const layout = await folderWith(...names);
      const before = await readdir(layout.dataDir, { recursive: true });
      await assert.rejects(inspect(layout), { name: "EmbeddedPostgresError", code, message });
      assert.deepEqual(await readdir(layout.dataDir, { recursive: true }), before);
    });
  }
});

describe("a data folder that cannot be used", () => {
  it("below a file: names the file", async () => {
    const { dataDir } = await folderWith("letter.txt");
    const file = join(dataDir, "letter.txt");
    await assert.rejects(makeFolders(join(file, "deep", "data")), {
      code: "FOLDER_UNUSABLE",
      message: new RegExp(
        `ENOTDIR.*; ${file} is a file where a folder is needed: move it away, or choose another`,
      ),
    });
  });

  for (const [code, remedy] of [
    [
      "EACCES",
      /; give the folder to the user who runs the scheduler \((uid \d+|this user)\), or choose another/,
    ],
    ["EPERM", /; give the folder to the user who runs the scheduler/],
    ["ENOENT", /; the folder or a folder above it disappeared, or is a link .*: create that folder, or/],
    ["EROFS", /; the file system is read-only: mount it writable, or/],
    ["ENOSPC", /; free some space there, or/],
    ["EIO", /; check the folder and its file system, or/],
  ] as const) {
    it(`${code}: says what to do about it, and nothing else`, () => {
      const { message } = unusable("/data", "use", Object.assign(new Error(`${code}: it failed`), { code }));
      assert.match(message, remedy);
      assert.equal(message.match(/give the folder/g)?.length ?? 0, /EACCES|EPERM/.test(code) ? 1 : 0);
    });
  }
});
