/** Runs a scheduler, and ends it with the bench. */
import process from "node:process";
import { runScheduler } from "@muster/scheduler";

// A bench that was killed must leave no scheduler behind.
process.once("disconnect", () => process.exit(1));
process.exitCode = await runScheduler(process.argv.slice(2), process.env);
process.disconnect();
