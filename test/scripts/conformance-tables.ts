/** Writes the tables of docs/conformance.md anew from the cases and the task types of the suite. */
import { readFile, writeFile } from "node:fs/promises";
import { CONFORMANCE, withConformanceTables } from "../support/repo/conformance-tables.ts";

await writeFile(CONFORMANCE, withConformanceTables(await readFile(CONFORMANCE, "utf8")));
