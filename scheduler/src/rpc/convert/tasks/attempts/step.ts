// Named steps of a handler in protobuf, and back.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { PHASE_NAME } from "@muster/common/text/name-forms";
import { quoted } from "@muster/common/text/text";
import {
  MAX_STEP_RESULT_BYTES,
  type StepFilter,
  StepState,
  type TaskStep,
  type TaskStepSchema,
} from "@muster/protocol";
import { formatAttemptId } from "../../../../domain/ids.ts";
import { invalidMessage } from "../../../../domain/refusals.ts";
import {
  type StepState as DomainState,
  inOrder,
  MAX_STEPS,
  type ReportedStep,
  STEP_STATES,
  type Step,
  type StepCondition,
  type Steps,
} from "../../../../domain/tasks/attempts/step.ts";
import { storable } from "../../values/text.ts";
import { timestampFromMs } from "../../values/time.ts";
import { MAX_TEXT } from "../../workers/limits.ts";

const STATES: Readonly<Record<DomainState, StepState>> = {
  pending: StepState.PENDING,
  done: StepState.DONE,
  failed: StepState.FAILED,
};

export const STEP_NAME_RULE = `is no name of a step; it must match ${PHASE_NAME.source}`;

/** A condition on steps; undefined for none, and for one with a fault. */
export function toStepCondition(
  given: StepFilter | undefined,
  field: string,
  report: (field: string, description: string) => void,
): StepCondition | undefined {
  if (given === undefined) return undefined;
  const { name, state } = given;
  const known = (Object.keys(STATES) as DomainState[]).find((each) => STATES[each] === state);
  if (!PHASE_NAME.test(name)) report(`${field}.name`, `${quoted(name, 70)} ${STEP_NAME_RULE}`);
  if (state !== StepState.UNSPECIFIED && known === undefined)
    report(`${field}.state`, `${state} is no state of a step; allowed are 1 (PENDING), 2 (DONE), 3 (FAILED)`);
  return { name, states: known ? [known] : STEP_STATES };
}

/** Steps that a worker reports. @throws Refusal `INVALID_MESSAGE` when one breaks the contract. */
export function toReportedSteps(steps: readonly TaskStep[]): ReportedStep[] {
  if (steps.length > MAX_STEPS)
    throw invalidMessage(`a StepReport has ${steps.length} steps; at most ${MAX_STEPS} are allowed`);
  return steps.map((step) => {
    const { name, optional } = step;
    if (!PHASE_NAME.test(name))
      throw invalidMessage(`${quoted(name, 40)} is no name of a step; it must match ${PHASE_NAME.source}`);
    return { name, ...(optional ? { optional: true as const } : {}), ...stateOf(step) };
  });
}

function stateOf({ name, state, result, code, message }: TaskStep): Omit<ReportedStep, "name" | "optional"> {
  switch (state) {
    case StepState.PENDING:
      return { state: "pending" };
    case StepState.FAILED:
      return { state: "failed", code: storable(code, 64), message: storable(message, MAX_TEXT) };
    case StepState.DONE:
      return { state: "done", result: resultOf(name, result) };
    default:
      throw invalidMessage(`the step ${name} has no state that this scheduler knows (${state})`);
  }
}

function resultOf(name: string, result: Uint8Array): string {
  if (result.byteLength > MAX_STEP_RESULT_BYTES)
    throw invalidMessage(
      `the result of the step ${name} has ${result.byteLength} bytes; at most ${MAX_STEP_RESULT_BYTES} are allowed`,
    );
  const text = Buffer.from(result).toString("utf8");
  try {
    JSON.parse(text);
  } catch {
    throw invalidMessage(`the result of the step ${name} is not JSON`);
  }
  return text;
}

/** The steps of earlier attempts, for a worker. */
export function fromAssignedSteps(steps: Steps): MessageInitShape<typeof TaskStepSchema>[] {
  return inOrder(steps).map((step) => ({
    ...fromStep(step),
    result: Buffer.from(step.result ?? "", "utf8"),
    skip: step.skip ?? false,
  }));
}

/** The steps of a task, for those who look at it. */
export function fromSteps(taskId: number, steps: Steps): MessageInitShape<typeof TaskStepSchema>[] {
  return inOrder(steps).map((step) => ({
    ...fromStep(step),
    resultBytes: BigInt(Buffer.byteLength(step.result ?? "")),
    attemptId: formatAttemptId({ taskId, epoch: step.epoch }),
    updateTime: timestampFromMs(step.atMs),
  }));
}

function fromStep({ name, state, optional, code = "", message = "" }: Step & { readonly name: string }) {
  return { name, state: STATES[state], optional: optional ?? false, code, message };
}
