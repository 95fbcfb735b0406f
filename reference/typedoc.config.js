/** The API reference of @muster/worker: a module for each entry of the package. A broken link fails. */
import { readFileSync } from "node:fs";

/** Entries that are imported for what they do, and export nothing. */
const WITHOUT_EXPORTS = ["./init", "./thread"];

const { exports } = JSON.parse(readFileSync(new URL("../worker-sdk/package.json", import.meta.url), "utf8"));

/** @type {Partial<import("typedoc").TypeDocOptions>} */
// biome-ignore lint/style/noDefaultExport: typedoc reads the default export.
export default {
  name: "@muster/worker",
  entryPoints: Object.entries(exports)
    .filter(([entry]) => !WITHOUT_EXPORTS.includes(entry))
    .map(([, { "muster-source": source }]) => `../worker-sdk/${source}`),
  tsconfig: "../worker-sdk/tsconfig.json",
  readme: "../worker-sdk/README.md",
  out: "html",
  // TypeScript 7 has checked the types.
  skipErrorChecking: true,
  excludeInternal: true,
  excludePrivate: true,
  // Without links to lines of the sources, a build in an archive is the same as one in a checkout.
  disableSources: true,
  disableGit: true,
  githubPages: false,
  // `npm run check` refuses exports and members without a comment.
  validation: { invalidLink: true, rewrittenLink: true, notDocumented: false, notExported: false },
  treatValidationWarningsAsErrors: true,
};
