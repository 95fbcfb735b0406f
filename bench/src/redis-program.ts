/** Runs a Redis server, and ends it with the bench. */
import { spawn } from "node:child_process";
import process from "node:process";

// Redis has no channel to the bench: this program stands between, so that no server is left behind.
const redis = spawn("redis-server", process.argv.slice(2), { stdio: ["ignore", "inherit", "inherit"] });
const end = () => redis.kill("SIGTERM");
process.once("disconnect", end);
process.once("SIGTERM", end);
redis.once("close", (code) => {
  process.exitCode = code ?? 1;
  process.removeListener("disconnect", end);
  if (process.connected) process.disconnect();
});
