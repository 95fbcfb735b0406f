/**
 * `import "@muster/worker/init"` as the first import of a worker program: errors of the imports that follow are
 * reported as `worker.fatal`, and as process 1 of a container the program starts again below a shell that reaps
 * orphans, before it has done any work. Without it both begin with the `Worker` and its `run()`.
 */

// First: nothing else of this package is evaluated on a Node that lacks what it uses.
import "./node-version.ts";
import { reapAsProcessOne } from "@muster/common/process/process-one";
import { installFatalHandler } from "./run/fatal-handler.ts";

reapAsProcessOne();
installFatalHandler();
