/** Runs a program as process 1 of a container: reaps orphans and forwards signals. */
import { existsSync } from "node:fs";

const SHELL = "/bin/sh";

/**
 * Waits for the program and for every orphan, forwards signals, and exits with the program's code. Without the third
 * descriptor the shell would give its child an empty input.
 */
const SCRIPT = `exec 3<&0
for s in TERM INT HUP QUIT USR1 USR2; do trap "kill -$s \\$pid" $s; done
"$@" <&3 3<&- &
pid=$!
while wait $pid; code=$?; kill -0 $pid 2>/dev/null; do :; done
exit $code`;

/**
 * As process 1 of a container a program inherits every orphan, and Node waits for none of them: they stay as zombies
 * until no process can be started any more. A shell then replaces this process and runs the program again as its child.
 * Elsewhere, and without a shell, nothing happens. Call it before the program does any work.
 */
export function reapAsProcessOne(): void {
  if (process.pid !== 1 || process.execve === undefined) return;
  if (!existsSync(SHELL)) {
    process.stderr.write(
      `warning: as process 1 without ${SHELL}, this program reaps no orphans; start the container with an init (docker run --init)\n`,
    );
    return;
  }
  const command = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  process.execve(SHELL, ["sh", "-c", SCRIPT, "init", ...command]);
}
