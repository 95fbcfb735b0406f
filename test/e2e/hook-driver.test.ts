/** The driver of hooks, with real hooks: scripts of the shell, and the example for SSH with a real server. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { env, execPath, getuid } from "node:process";
import { after, afterEach, before, describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { LaunchTemplateSchema } from "@muster/protocol";
import { systemClock } from "../../launcher/src/clock.ts";
import type { LaunchOrder, ObservedLaunch } from "../../launcher/src/driver.ts";
import { HookDriver } from "../../launcher/src/hook/hook-driver.ts";
import { launcherLog } from "../../launcher/src/launcher-log.ts";
import { ROOT } from "../support/repo/checks.ts";
import { findPrograms } from "../support/repo/debian.ts";
import { until } from "../support/waits.ts";

const root = mkdtempSync(join(tmpdir(), "muster-hooks-"));
const drivers: HookDriver[] = [];
let round = 0;
let logged = "";

after(() => rmSync(root, { recursive: true, force: true }));

afterEach(async () => {
  await Promise.all(drivers.splice(0).map((driver) => driver.close()));
});

/** A driver; with the folder of another one it is the same launcher after a restart. */
function driverIn(folder: string): HookDriver {
  const write = (text: string) => {
    logged += text;
  };
  const driver = new HookDriver({
    ...{ launcherId: "launcher", folder, clock: systemClock },
    env: { ...env, MUSTER_SCHEDULER_ADDR: "127.0.0.1:1", API_TOKEN: "very-secret-value" },
    log: launcherLog(
      { write, isTTY: false, colors: { dim: String, red: String, yellow: String } },
      systemClock,
    ),
  });
  drivers.push(driver);
  return driver;
}

function newFolder(): string {
  const folder = join(root, String(++round));
  mkdirSync(folder);
  return folder;
}

/** A hook whose verbs are the lines of a shell script; each call writes its verb and its input to `calls`. */
function hookOf(folder: string, script: string): string[] {
  const path = join(folder, "hook.sh");
  writeFileSync(
    path,
    `cd '${folder}'; read -r call || [ -n "$call" ]; echo "$1 $call" >> calls; id=$(echo "$call" | sed -n 's/.*"launch_id":"\\([^"]*\\)".*/\\1/p')
case $1 in
${script}
esac
`,
  );
  appendFileSync(join(folder, "calls"), "");
  return ["sh", path];
}

function orderOf(hook: readonly string[], launchId: string, more: Partial<LaunchOrder> = {}): LaunchOrder {
  return {
    ...{
      launchId,
      pool: "p",
      workerId: launchId,
      secretNames: [],
      secretSources: [],
      startupTimeoutMs: 60_000,
    },
    engine: create(LaunchTemplateSchema, {
      driver: {
        case: "hook",
        value: {
          command: [...hook],
          settings: {},
          timeout: durationFromMs(1_000),
          listInterval: durationFromMs(100),
        },
      },
    }).driver,
    command: ["sleep", "60"],
    env: {},
    ...more,
  };
}

function calls(folder: string, verb: string): string[] {
  return readFileSync(join(folder, "calls"), "utf8")
    .split("\n")
    .filter((line) => line.startsWith(`${verb} `));
}

function seen(
  driver: HookDriver,
  launchId: string,
  matches: (launch: ObservedLaunch) => boolean,
): Promise<ObservedLaunch> {
  return until(`${launchId} is as expected`, async () =>
    (await driver.list()).find((each) => each.launchId === launchId && matches(each)),
  );
}

/** Shows a launch as running from its start to its stop. */
const SIMPLE = `start) echo "$id" > started; echo '{"handle":"h-1"}' ;;
stop) rm -f started; echo "$id" > stopped ;;
list) if [ -e started ]; then echo '{"launches":[{"launch_id":"'$(cat started)'","state":"running"}]}'
      elif [ -e stopped ]; then echo '{"launches":[{"launch_id":"'$(cat stopped)'","state":"ended","exit_code":3,"log_tail":"bye very-secret-value"}]}'
      else echo '{"launches":[]}'; fi ;;`;

describe("the driver of hooks", () => {
  it("calls start once, shows what list says, and knows the launch after a restart", async () => {
    const folder = newFolder();
    const hook = hookOf(folder, SIMPLE);
    const first = driverIn(join(folder, "state"));
    await Promise.all([1, 2].map(() => first.launch(orderOf(hook, "one", { env: { A: "b" } }))));
    await seen(first, "one", ({ phase }) => phase === "running");
    await first.close();
    const second = driverIn(join(folder, "state"));
    await second.launch(orderOf(hook, "one"));
    await second.stop("one", { graceMs: 5_000 });
    const ended = await seen(second, "one", ({ phase }) => phase === "ended");
    assert.equal(ended.exitCode, 3);
    assert.match(ended.logTail, /^bye (?!very-secret-value)/);
    assert.equal(calls(folder, "start").length, 1);
    const input = JSON.parse((calls(folder, "start")[0] ?? "").slice("start ".length));
    assert.deepEqual(
      [input.version, input.verb, input.launcher_id, input.launch_id, input.command, input.env],
      [1, "start", "launcher", "one", ["sleep", "60"], { A: "b" }],
    );
    assert.equal(JSON.parse((calls(folder, "stop")[0] ?? "").slice("stop ".length)).handle, "h-1");
    await second.forget("one");
    assert.deepEqual(await second.list(), []);
  });

  it("starts nothing for an id that was stopped before", async () => {
    const folder = newFolder();
    const hook = hookOf(folder, SIMPLE);
    const driver = driverIn(join(folder, "state"));
    await driver.stop("one", { graceMs: 0 });
    await driver.launch(orderOf(hook, "one"));
    assert.equal((await seen(driver, "one", ({ phase }) => phase === "ended")).reason, "NotFound");
    assert.deepEqual(calls(folder, "start"), []);
  });

  const FAULTS = {
    "ends with an error": {
      start: "echo 'no very-secret-value here' >&2; exit 3",
      detail: /exited with code 3: no (?!very)/,
    },
    "takes too long": { start: "sleep 600", detail: /did not end within 1 s/ },
    "prints garbage": {
      start: "echo '<html>'",
      detail: /breaks the contract: it printed no JSON, but "<html>"/,
    },
    "prints megabytes": { start: "yes", detail: /printed more than 65536 bytes/ },
    "answers with a list": { start: "echo '[]'", detail: /the answer is "\[\]", and must be an object/ },
    "is killed": { start: "kill -KILL $$", detail: /was killed by SIGKILL/ },
  };
  for (const [name, { start, detail }] of Object.entries(FAULTS)) {
    it(`undoes a start whose hook ${name}`, async () => {
      const folder = newFolder();
      const hook = hookOf(folder, `start) ${start} ;;\nstop) ;;\nlist) echo '{"launches":[]}' ;;`);
      const driver = driverIn(join(folder, "state"));
      await driver.launch(orderOf(hook, "one"));
      const ended = await seen(driver, "one", ({ phase }) => phase === "ended");
      assert.equal(ended.reason, "HookFailed");
      assert.match(ended.detail, detail);
      assert.equal(calls(folder, "stop").length, 1);
    });
  }

  it("says that the program of a hook is missing, and calls nothing more", async () => {
    const driver = driverIn(join(newFolder(), "state"));
    await driver.launch(orderOf(["/no/such/hook"], "one"));
    const ended = await seen(driver, "one", ({ phase }) => phase === "ended");
    assert.match(ended.detail, /`start` could not be started: .*ENOENT/);
  });

  it("keeps the last state while list fails, and says so; two answers without the launch end it", async () => {
    const folder = newFolder();
    const hook = hookOf(
      folder,
      `start) echo '{}' ;;
stop) ;;
list) if [ -e gone ]; then echo '{"launches":[]}'; elif [ -e broken ]; then echo '{"launches":[{"launch_id":"one","state":"flying"}]}'
      else echo '{"launches":[{"launch_id":"one","state":"running"}]}'; fi ;;`,
    );
    const driver = driverIn(join(folder, "state"));
    await driver.launch(orderOf(hook, "one"));
    await seen(driver, "one", ({ phase }) => phase === "running");
    writeFileSync(join(folder, "broken"), "");
    const failing = await seen(driver, "one", ({ reason }) => reason === "HookFailed");
    assert.equal(failing.phase, "running");
    assert.match(failing.detail, /launches\[0\]\.state is "flying", and must be pending, running or ended/);
    assert.match(logged, /"event":"launcher.hook_failed"/);
    writeFileSync(join(folder, "gone"), "");
    assert.equal((await seen(driver, "one", ({ phase }) => phase === "ended")).reason, "Gone");
    assert.deepEqual(calls(folder, "stop"), []);
  });

  it("undoes a start during which the launcher was killed", async () => {
    const folder = newFolder();
    const hook = hookOf(
      folder,
      `start) echo $$ > starting; exec sleep 600 ;;\nstop) echo "$id" > stopped ;;\nlist) echo '{"launches":[]}' ;;`,
    );
    const order = orderOf(hook, "one");
    if (order.engine.case === "hook") order.engine.value.timeout = durationFromMs(600_000);
    const state = join(folder, "state");
    // Not closed: as after SIGKILL, its call goes on.
    drivers.splice(drivers.indexOf(await launched(state, order)), 1);
    await until("start is called", () => existsSync(join(folder, "starting")) || undefined);
    const next = driverIn(state);
    const ended = await seen(next, "one", ({ phase }) => phase === "ended");
    assert.match(ended.detail, /`start` was interrupted/);
    assert.equal(readFileSync(join(folder, "stopped"), "utf8"), "one\n");
    const hookPid = readFileSync(join(folder, "starting"), "utf8").trim();
    const state2 = execFileSync("sh", ["-c", `ps -o stat= -p ${hookPid} || true`], { encoding: "utf8" });
    assert.match(state2, /^(Z|$)/, "the call of the killed launcher has ended");
    assert.equal(calls(folder, "start").length, 1);
  });

  async function launched(folder: string, order: LaunchOrder): Promise<HookDriver> {
    const driver = driverIn(folder);
    await driver.launch(order);
    return driver;
  }
});

const found = findPrograms({ package: "openssh-server", libraries: /^libwrap/, programs: ["sshd"] });
const client = findPrograms({ package: "openssh-client", programs: ["ssh", "ssh-keygen"] });

describe("the example of a hook for SSH", {
  skip:
    typeof found === "string"
      ? found
      : typeof client === "string"
        ? client
        : getuid?.() === 0
          ? false
          : "sshd needs root for its separate processes",
}, () => {
  const folder = join(root, "ssh");
  let hook: string[];
  let settings: Record<string, string>;
  let stopServer = () => {};

  before(async () => {
    if (typeof found === "string" || typeof client === "string") return;
    mkdirSync(folder, { mode: 0o700 });
    chmodSync(root, 0o700);
    mkdirSync(join(folder, "run", "sshd"), { recursive: true, mode: 0o755 });
    // sshd wants an account of its own; the package's installation, which is not done here, would make it.
    const passwd = readFileSync("/etc/passwd", "utf8");
    writeFileSync(
      join(folder, "passwd"),
      passwd.includes("\nsshd:") ? passwd : `${passwd}sshd:x:74:74::/run/sshd:/usr/sbin/nologin\n`,
    );
    for (const key of ["host", "user"])
      execFileSync(client.paths["ssh-keygen"], ["-q", "-t", "ed25519", "-N", "", "-f", join(folder, key)]);
    const port = await freePort();
    const file = (name: string) => join(folder, name);
    writeFileSync(
      file("sshd_config"),
      [
        ...[
          `Port ${port}`,
          "ListenAddress 127.0.0.1",
          `HostKey ${file("host")}`,
          "PidFile none",
          "UsePAM no",
        ],
        ...[`AuthorizedKeysFile ${file("user.pub")}`, "StrictModes no", "PasswordAuthentication no"],
        "PermitRootLogin prohibit-password",
      ].join("\n"),
    );
    const mounts = `mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/run" /run && shift && exec "$@"`;
    const server = spawn(
      "unshare",
      ["--mount", "sh", "-c", mounts, "sh", folder, found.paths.sshd, "-D", "-e", "-f", file("sshd_config")],
      { env: { ...env, ...found.env }, stdio: ["ignore", "ignore", "pipe"] },
    );
    stopServer = () => void server.kill("SIGTERM");
    let output = "";
    server.stderr.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
    await until("the server listens", () => {
      assert.equal(server.exitCode, null, output);
      return output.includes("Server listening") || undefined;
    });
    writeFileSync(file("known_hosts"), `[127.0.0.1]:${port} ${readFileSync(file("host.pub"), "utf8")}`);
    hook = [execPath, join(ROOT, "examples", "launch-hooks", "ssh.mjs")];
    settings = {
      hosts: "127.0.0.1",
      folder: file("launches"),
      ssh: `-F none -p ${port} -i ${file("user")} -o UserKnownHostsFile=${file("known_hosts")}`,
    };
  });

  after(() => stopServer());

  function remote(launchId: string, command: string[], variables: Record<string, string> = {}): LaunchOrder {
    const order = orderOf(hook, launchId, { command, env: variables });
    if (order.engine.case !== "hook") throw new TypeError("an order for a hook is expected");
    order.engine.value.settings = settings;
    order.engine.value.timeout = durationFromMs(30_000);
    return order;
  }

  it("starts a worker with its environment, shows its output, ends it, and starts nothing twice", async () => {
    const state = join(folder, "state");
    const driver = driverIn(state);
    const script = `echo "it's $GREETING"; trap 'echo bye; exit 0' TERM; while :; do sleep 0.1; done`;
    const order = remote("ssh-1", ["sh", "-c", script], { GREETING: "a 'quoted' $value" });
    await driver.launch(order);
    const running = await seen(
      driver,
      "ssh-1",
      ({ phase, logTail }) => phase === "running" && logTail !== "",
    );
    assert.equal(running.logTail, "it's a 'quoted' $value\n");
    assert.ok(
      !existsSync(join(folder, "launches", "ssh-1", "env")),
      "the environment does not stay on the machine",
    );

    // Another launcher without the first one's state: the machine knows the launch.
    const other = driverIn(join(folder, "other"));
    await other.launch(order);
    await seen(other, "ssh-1", ({ phase }) => phase === "running");
    await other.stop("ssh-1", { graceMs: 60_000 });
    const ended = await seen(other, "ssh-1", ({ phase }) => phase === "ended");
    assert.equal(ended.exitCode, 0);
    // The shell of the worker says that its sleep was terminated, too.
    assert.match(ended.logTail, /^it's a 'quoted' \$value\n(.*\n)?bye\n$/);
  });

  it("kills what ignores the request to end, and names a command that is missing", async () => {
    const driver = driverIn(join(folder, "third"));
    await driver.launch(
      remote("ssh-deaf", ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"]),
    );
    await seen(driver, "ssh-deaf", ({ logTail }) => logTail === "up\n");
    await driver.stop("ssh-deaf", { graceMs: 500 });
    assert.equal((await seen(driver, "ssh-deaf", ({ phase }) => phase === "ended")).signal, "SIGKILL");
    await driver.launch(remote("ssh-missing", ["/no/such/worker"]));
    const missing = await seen(driver, "ssh-missing", ({ phase }) => phase === "ended");
    assert.equal(missing.reason, "StartError");
    assert.match(missing.logTail, /not found/);
  });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new TypeError("the server has no port");
  return address.port;
}
