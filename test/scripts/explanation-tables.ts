/** Writes the tables of docs/explanations.md anew from the registry of codes. */
import { readFile, writeFile } from "node:fs/promises";
import { EXPLANATIONS, withTables } from "../support/repo/explanation-tables.ts";

await writeFile(EXPLANATIONS, withTables(await readFile(EXPLANATIONS, "utf8")));
