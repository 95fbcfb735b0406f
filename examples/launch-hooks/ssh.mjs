#!/usr/bin/env node
/**
 * A hook of `muster launcher` that runs workers on machines over SSH. Its contract is docs/hooks.md.
 *
 * Settings: `hosts` (names or addresses, separated by spaces), `ssh` (arguments of ssh, separated by spaces), and `folder` on the
 * machines (`.muster-launches`). A machine needs a POSIX shell, setsid, ps, find and base64, and the command of the worker.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { argv, exit, stderr, stdin, stdout } from "node:process";
import { text } from "node:stream/consumers";

/** Ended launches are removed from a machine after this, minutes. */
const KEEP_MIN = 1_440;

const input = JSON.parse(await text(stdin));
const hosts = (input.settings.hosts ?? "").split(/\s+/).filter(Boolean);
if (hosts.length === 0) fail('the setting "hosts" is missing: name the machines, separated by spaces');
const sshArgs = (input.settings.ssh ?? "").split(/\s+/).filter(Boolean);
const folder = quoted(input.settings.folder ?? ".muster-launches");

/** The same machine for every call that names the launch. */
function hostOf(launchId) {
  return hosts[createHash("sha256").update(launchId).digest().readUInt32BE() % hosts.length];
}

async function start() {
  const { launch_id: id, command, env } = input;
  if (command.length === 0) fail("launch_template.command is empty: a machine has no command of its own");
  const host = hostOf(id);
  // The environment holds secrets: it goes over the standard input, and into a file that only its owner can read.
  const exports = Object.entries(env).map(([name, value]) => `export ${name}=${quoted(value)}`);
  await ssh(
    host,
    `set -eu; umask 077; mkdir -p ${folder}; cd ${folder}
mkdir ${id} 2>/dev/null || exit 0 # started or stopped before
cd ${id}
cat > env <<'END-OF-ENVIRONMENT'
${exports.join("\n")}
END-OF-ENVIRONMENT
cat > run <<'END-OF-COMMAND'
echo $$ > pid; [ -e stopped ] && exit 0
. ./env; rm env
cd "$HOME"
${command.map(quoted).join(" ")} >> "$OLDPWD/log" 2>&1; code=$?
cd "$OLDPWD"; echo $code > code.new; mv code.new code
END-OF-COMMAND
setsid sh run </dev/null >/dev/null 2>&1 &`,
  );
  return { handle: host, detail: `it runs on ${host}` };
}

/** Without a process an empty folder is left behind: a call of \`start\` that is still on its way then does nothing. */
async function stop() {
  const signal = input.grace_s > 0 ? "TERM" : "KILL";
  await ssh(
    hostOf(input.launch_id),
    `set -u; umask 077; mkdir -p ${folder}; cd ${folder}; mkdir ${input.launch_id} 2>/dev/null
cd ${input.launch_id} || exit 1
: > stopped
[ -e pid ] && [ ! -e code ] || exit 0
[ ${signal} = KILL ] && echo killed > killed
trap '' TERM
# The group is that of the shell which waits for the command; it has to outlive SIGTERM to write the code.
for pid in $(ps -o pid= -g "$(cat pid)"); do [ ${signal} = TERM ] && [ "$pid" = "$(cat pid)" ] || kill -${signal} "$pid"; done 2>/dev/null
exit 0`,
  );
  return {};
}

async function list() {
  const answers = await Promise.all(hosts.map(async (host) => ({ host, lines: await ssh(host, LIST) })));
  const launches = answers.flatMap(({ host, lines }) =>
    lines
      .split("\n")
      .filter(Boolean)
      .map((line) => {
        const [id, state, code, bytes, age, tail] = line.split(" ");
        return {
          launch_id: id,
          handle: host,
          state,
          ...(code === "-" ? {} : exitOf(code)),
          output_bytes: Number(bytes),
          ...(bytes === "0" ? {} : { output_age_s: Math.max(0, Number(age)) }),
          log_tail: Buffer.from(tail ?? "", "base64").toString("utf8"),
        };
      }),
  );
  return { launches };
}

/** What a shell says of a command: its code, or 128 and the signal. */
function exitOf(code) {
  const signals = { 137: "SIGKILL", 143: "SIGTERM", 134: "SIGABRT", 139: "SIGSEGV" };
  if (code in signals) return { signal: signals[code] };
  return code === "127" || code === "126"
    ? {
        reason: "StartError",
        detail: code === "127" ? "the command was not found" : "the command is not executable",
      }
    : { exit_code: Number(code) };
}

// In a container a process that has ended may never be reaped.
const LIST = `set -u; cd ${folder} 2>/dev/null || exit 0
lives() { case $(ps -o stat= -p "$(cat "$1/pid" 2>/dev/null || echo 0)") in "" | Z*) return 1 ;; esac; }
find . -mindepth 2 -maxdepth 2 \\( -name code -o -name killed -o -name stopped \\) -mmin +${KEEP_MIN} | while read -r file; do
  lives "\${file%/*}" || rm -r "\${file%/*}" 2>/dev/null
done
for id in *; do
  [ -d "$id" ] || continue
  state=running code=-
  if [ -e "$id/code" ]; then state=ended code=$(cat "$id/code")
  elif [ ! -e "$id/pid" ]; then [ -e "$id/stopped" ] && continue; state=pending
  elif ! lives "$id"; then state=ended; [ -e "$id/killed" ] && code=137
    [ -e "$id/code" ] && code=$(cat "$id/code")
  fi
  bytes=0 age=0
  if [ -e "$id/log" ]; then bytes=$(wc -c < "$id/log"); age=$(($(date +%s) - $(date +%s -r "$id/log"))); fi
  echo "$id" $state $code $bytes $age "$(tail -c 12000 "$id/log" 2>/dev/null | base64 | tr -d '\\n')"
done`;

/** Runs a script on a machine; its output. The hook ends with an error when it fails. */
async function ssh(host, script) {
  const child = spawn("ssh", ["-o", "BatchMode=yes", "-o", "ConnectTimeout=10", ...sshArgs, host, "sh -s"], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.on("error", () => undefined); // it may end without reading all
  child.stdin.end(`${script}\n`);
  const ended = new Promise((resolve, reject) => child.once("close", resolve).once("error", reject));
  const [code, output, errors] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  if (code !== 0) fail(`${host}: ssh ended with ${code}: ${errors.trim().split("\n").at(-1) ?? ""}`);
  return output;
}

function quoted(value) {
  return `'${String(value).replaceAll("'", `'\\''`)}'`;
}

function fail(message) {
  stderr.write(`${message}\n`);
  exit(1);
}

const VERBS = { start, stop, list };
const verb = VERBS[argv[2]] ?? fail(`${argv[2]} is no verb of a hook: start, stop or list is expected`);
stdout.write(JSON.stringify(await verb()));
