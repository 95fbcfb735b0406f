/** The entry of the threads of this package: that of the connection, and the guard of an isolated handler's process. */
import { workerData } from "node:worker_threads";

// Each loads its own part alone: the connection's has 170 modules.
if (Object(workerData).guard === undefined) void import("./link-thread.ts");
else void import("../isolate/child/guard.ts");
