/** The options of commands that change the tasks that a filter lets through. */

import { parseDuration } from "@muster/common/duration";
import type { BulkFilter } from "@muster/worker/client";
import type { Command } from "commander";
import { InvalidArgumentError, Option } from "commander";
import { argument } from "../parse.ts";
import { parseStep } from "./step.ts";

type State = NonNullable<BulkFilter["states"]>[number];

/** What the options are parsed to. */
export interface FilterOptions {
  readonly state?: State[];
  readonly queue?: string[];
  readonly type?: string[];
  readonly detail?: string[];
  readonly failureCode?: string[];
  readonly error?: string;
  readonly frame?: string;
  readonly tag?: string[];
  readonly worker?: string;
  readonly batch?: string;
  readonly uniqueKey?: string;
  readonly olderThan?: number;
  readonly newerThan?: number;
  readonly endedBefore?: number;
  readonly endedAfter?: number;
  readonly withStep?: NonNullable<BulkFilter["step"]>;
}

/**
 * Adds the options of the filter.
 *
 * @param states The states of tasks that the command is for.
 */
export function addFilterOptions(command: Command, states: readonly State[]): void {
  const forEnded = states.some((state) => !OPEN.has(state));
  const options = [
    ...(states.length > 1
      ? [
          new Option("--state <state>", `only ${states.join(", ")}; repeat or use commas`).argParser(
            stateNames(states),
          ),
        ]
      : [
          new Option("--state <state>", `only ${states[0]}, which is the default`).argParser(
            stateNames(states),
          ),
        ]),
    new Option("--queue <name>", "only this queue; repeat or use commas").argParser(names),
    new Option("--type <type>", "only this task type; repeat or use commas").argParser(names),
    ...(forEnded
      ? [
          new Option(
            "--detail <detail>",
            "only tasks that ended with this detail, for example RETRIES_EXHAUSTED; repeat or use commas",
          ).argParser(names),
        ]
      : []),
    new Option(
      "--failure-code <code>",
      "only tasks whose last failure has this code; repeat or use commas",
    ).argParser(names),
    new Option("--error <text>", ERROR_HELP),
    new Option(
      "--frame <line>",
      "only tasks whose last failure has this line of its traceback at the top, as the page of errors shows it",
    ),
    new Option(
      "--tag <tag>",
      "only tasks with this tag; repeat or use commas; a task must have all of them",
    ).argParser(names),
    new Option(
      "--with-step <name[=state]>",
      "only tasks with this step, while it is pending, done or failed: for example create_pr=failed",
    ).argParser(parseStep),
    new Option("--worker <id>", "only tasks that this worker holds or held last"),
    new Option("--batch <id>", "only members of this batch"),
    new Option("--unique-key <key>", "only the task that this unique key belongs to"),
    new Option("--older-than <age>", "only tasks submitted longer ago, for example 2h").argParser(duration),
    new Option("--newer-than <age>", "only tasks submitted less long ago").argParser(duration),
    ...(forEnded
      ? [
          new Option("--ended-before <age>", "only tasks that ended longer ago, for example 7d").argParser(
            duration,
          ),
          new Option("--ended-after <age>", "only tasks that ended less long ago").argParser(duration),
        ]
      : []),
  ];
  for (const option of options) command.addOption(option.helpGroup("Filter:"));
}

/** What the option for the text of an error says. */
export const ERROR_HELP =
  "only tasks whose last failure has this text in its code or message, in upper or lower case";

const OPEN: ReadonlySet<State> = new Set(["queued", "assigned", "running"]);

const duration = argument(parseDuration);

function names(text: string, before: readonly string[] = []): string[] {
  return [...before, ...text.split(",").map((part) => part.trim())];
}

function stateNames(allowed: readonly State[]): (text: string, before?: readonly State[]) => State[] {
  return (text, before = []) => [
    ...before,
    ...names(text).map((name): State => {
      const state = allowed.find((each) => each === name.toLowerCase());
      if (state === undefined) throw new InvalidArgumentError(`"${name}" is none of: ${allowed.join(", ")}`);
      return state;
    }),
  ];
}

/** The filter of a command line; undefined when it has no condition. */
export function filterOf(options: FilterOptions): BulkFilter | undefined {
  const seconds = (name: string, ms: number | undefined) => (ms === undefined ? {} : { [name]: ms / 1_000 });
  const filter: BulkFilter = {
    ...(options.state ? { states: options.state } : {}),
    ...(options.queue ? { queues: options.queue } : {}),
    ...(options.type ? { types: options.type } : {}),
    ...(options.detail ? { details: options.detail } : {}),
    ...(options.failureCode ? { failureCodes: options.failureCode } : {}),
    ...(options.error ? { errorText: options.error } : {}),
    ...(options.frame ? { topFrame: options.frame } : {}),
    ...(options.tag ? { tags: options.tag } : {}),
    ...(options.withStep ? { step: options.withStep } : {}),
    ...(options.worker ? { workerId: options.worker } : {}),
    ...(options.batch ? { batchId: options.batch } : {}),
    ...(options.uniqueKey ? { uniqueKey: options.uniqueKey } : {}),
    ...seconds("minAgeS", options.olderThan),
    ...seconds("maxAgeS", options.newerThan),
    ...seconds("minEndedAgeS", options.endedBefore),
    ...seconds("maxEndedAgeS", options.endedAfter),
  };
  return Object.keys(filter).length === 0 ? undefined : filter;
}
