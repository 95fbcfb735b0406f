/** The API reference of @muster/worker: a module for each entry of the package. Broken links and undocumented exports fail. */
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
  // Members of errors repeat the name of their class; constructors of errors are for the package itself.
  requiredToBeDocumented: ["Enum", "Variable", "Function", "Class", "Interface", "TypeAlias", "Accessor"],
  // Types of single values, which the reference shows where they are used.
  intentionallyNotExported: ["LEVELS", "LOG_LEVELS", "DetailsSchema", "AnyWorker", "AnyOptions"],
  validation: {
    notExported: true,
    invalidLink: true,
    notDocumented: true,
    rewrittenLink: true,
    unusedMergeModuleWith: true,
  },
  treatValidationWarningsAsErrors: true,
};
