/** Checks the sentences of reasons: their commands, options and values. */
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Reason } from "@muster/protocol";
import { COMMANDS } from "../../../cli/src/commands/commands.ts";
import { SETTINGS } from "../../../scheduler/src/config/settings.ts";
import { ROOT } from "../repo/checks.ts";
import { type Commands, type Context, sinceMs } from "./context.ts";

let commands: Commands | undefined;

/** The commands and options as the sources declare them: to load the whole CLI would cost 0.2 s in every test file. */
export function readCommands(): Commands {
  if (commands) return commands;
  const folder = join(ROOT, "cli", "src", "commands");
  const names = new Set(
    Object.values(COMMANDS)
      .flat()
      .map(({ usage }) => usage.replace(/ .*/, "")),
  );
  const flags = new Set<string>();
  for (const file of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".ts")) continue;
    const text = readFileSync(join(folder, file), "utf8");
    const found = [...text.matchAll(/(?:\.command\(|\badd\(\s*)[`"]([a-z-]+)/g)].flatMap(
      ([, name]) => name ?? [],
    );
    for (const name of found) names.add(name).add(`${basename(file, ".ts")} ${name}`);
    for (const [flag] of text.matchAll(/--[a-z][a-z-]+/g)) flags.add(flag);
  }
  for (const setting of Object.values(SETTINGS)) {
    flags.add(`--${setting.flag}`);
    for (const [flag] of setting.help.matchAll(/--[a-z][a-z-]+/g)) flags.add(flag);
  }
  commands = { names, flags };
  return commands;
}

/** Values of code that a sentence must not contain. */
const SLIP = /\bundefined\b|\bNaN\b|\[object|\bnull\b|\$\{|Invalid Date/;

const NOUNS =
  "task|worker|attempt|slot|queue|scheduler|statement|time|warning|migration|loop|replica|label|launch|version|handler|place|kind|refusal";
const NUMBER = "(?<![\\d.:/-])(?<!\\bof (?:all )?)";
const FILL = "(?: (?:more|older|running|connected|eligible|supervised|ready|urgent))*";
const PLURALS: readonly RegExp[] = [
  new RegExp(`${NUMBER}\\b1${FILL} (?:${NOUNS})s\\b`),
  new RegExp(
    `${NUMBER}\\b1${FILL} (?:${NOUNS}) (?:are|have|wait|answer|go|do|were|hold|run|take|live|follow)\\b`,
  ),
  new RegExp(`${NUMBER}\\b1 (?:are|have|were|do)\\b`),
  new RegExp(`${NUMBER}\\b(?:0|[2-9]|\\d{2,})${FILL} (?:${NOUNS})\\b(?![-=])`),
  new RegExp(
    `${NUMBER}\\b(?:0|[2-9]|\\d{2,})${FILL} (?:${NOUNS})s (?:is|has|waits|answers|goes|does|was|holds|runs|takes|lives)\\b`,
  ),
];

/** Codes where something happens by itself, or where nothing is to happen. */
const BY_ITSELF: ReadonlySet<string> = new Set([
  ...["DISPATCH_DELAYED", "AWAITING_ACCEPT", "AWAITING_START", "RUNNING", "BUSY", "DRAINING"],
  ...["IDLE_NO_WORK", "IDLE_NOT_ELIGIBLE", "SUCCEEDED", "EXITED"],
]);

/** Commands with an id behind them. */
const COMMAND = /\bmuster ([a-z][a-z-]*)(?: (?:(?!--)([^\s;,)`]+)))?(?: (?!--)([^\s;,)`]+))?/g;

/** Words that stand for an id of the reader's own choice. */
const PLACEHOLDER = /^(?:[A-Z]+|queue:[A-Z]+|worker:[A-Z]+)$/;

/** Sentences: no values of code, no wrong plurals, possible times, existing commands. */
export function checkWords(
  context: Context,
  subject: string,
  reason: Pick<Reason, "code" | "summary" | "remedy" | "evidence" | "since">,
): void {
  const { look, add } = context;
  const { code, summary, remedy, evidence } = reason;
  for (const text of [summary, remedy]) {
    const slip = SLIP.exec(text)?.[0];
    if (slip !== undefined) add("words", subject, `${code}: ${text}`, `${slip} is a value of code`);
    // What others wrote (errors, names) may hold anything; it comes behind a colon or in brackets.
    const plural = PLURALS.map((pattern) => pattern.exec(text)?.[0]).find((hit) => hit !== undefined);
    if (plural !== undefined) add("plural", subject, `${code}: ${text}`, `"${plural}" is no English`);
  }
  const since = sinceMs(reason);
  if (since !== undefined && since > look.after.now + 1) {
    const now = new Date(look.after.now).toISOString();
    add("since", subject, `${code} since ${new Date(since).toISOString()}`, `it is only ${now}`);
  }
  for (const fact of evidence) {
    const ageMs = fact.age && Number(fact.age.seconds) * 1_000 + fact.age.nanos / 1e6;
    if (fact.source === "heartbeat" && ageMs === undefined)
      add(
        "age",
        subject,
        `${code}: ${fact.key} ${fact.value}`,
        "a heartbeat is some time old, which is not said",
      );
    if (ageMs !== undefined && ageMs < 0)
      add("age", subject, `${code}: ${fact.key} is ${ageMs} ms old`, "nothing is younger than now");
    if (fact.source === "") add("words", subject, `${code}: ${fact.key}`, "its source is not said");
  }
  if (/^nothing to do\b/.test(remedy) && !BY_ITSELF.has(code))
    add("nothing-to-do", subject, `${code}: ${remedy}`, "nothing happens by itself there");
  checkRemedy(context, subject, code, remedy);
}

function checkRemedy({ look, add }: Context, subject: string, code: string, remedy: string): void {
  for (const [flag] of remedy.matchAll(/(?<![\w-])--[a-z][a-z-]+/g)) {
    if (!look.commands.flags.has(flag) && flag !== "--max-old-space-size")
      add("command", subject, `${code}: ${remedy}`, `there is no option ${flag}`);
  }
  for (const [, name = "", first, second] of remedy.matchAll(COMMAND)) {
    const says = `${code}: ${remedy}`;
    if (!look.commands.names.has(name)) {
      add("command", subject, says, `there is no muster ${name}`);
      continue;
    }
    const sub = name === "queue" || look.commands.names.has(`${name} ${first}`);
    if (sub && !look.commands.names.has(`${name} ${first}`))
      add("command", subject, says, `there is no muster ${name} ${first}`);
    const id = (sub ? second : first)?.replace(/[.:?]+$/, "");
    if (id === undefined || PLACEHOLDER.test(id)) continue;
    const but = idFault(look, name, id);
    if (but !== undefined) add("command", subject, says, but);
  }
}

/** Why the command makes no sense for the id; undefined when it does. */
function idFault({ before, after }: Context["look"], command: string, id: string): string | undefined {
  const task = after.tasks.find((each) => each.id === id);
  const was = before.tasks.find((each) => each.id === id);
  if (/^t-\d+$/.test(id)) {
    if (!task) return `there is no task ${id}`;
    const ended = task.finishMs !== null && was?.finishMs !== undefined && was.finishMs !== null;
    if (command === "cancel" && ended) return `${id} has ended: nothing is left to cancel`;
    if (command === "retry" && ended && task.state === "succeeded") return `${id} has succeeded`;
    return undefined;
  }
  if (command === "why" && id.startsWith("queue:")) {
    const name = id.slice("queue:".length);
    return after.queues.some((queue) => queue.name === name) ? undefined : `there is no queue ${name}`;
  }
  if (command === "why" && id.startsWith("pool:")) {
    const name = id.slice("pool:".length);
    return before.pools.includes(name) ? undefined : `there is no pool ${name}`;
  }
  if (command === "queue") {
    const queue = after.queues.find(({ name }) => name === id);
    return queue ? undefined : `there is no queue ${id}`;
  }
  if (command === "why" || command === "worker" || command === "drain") {
    const known = after.sessions.some(({ workerId }) => workerId === id) || after.otherWorkers.includes(id);
    return known ? undefined : `there is no worker ${id}`;
  }
  return undefined;
}
