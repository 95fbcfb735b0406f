/** Which traces begin here, by `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`. */
export interface Sampling {
  readonly name: (typeof SAMPLERS)[number];
  /** For the samplers that have one; 0 to 1. */
  readonly ratio: number;
}

const SAMPLERS = [
  "always_on",
  "always_off",
  "traceidratio",
  "parentbased_always_on",
  "parentbased_always_off",
  "parentbased_traceidratio",
] as const;

/**
 * Reads the standard variables; unset, every trace is recorded that its producer does not exclude.
 *
 * @param faults Gets what is wrong.
 */
export function readSampling(env: Readonly<Record<string, string | undefined>>, faults: string[]): Sampling {
  const given = env.OTEL_TRACES_SAMPLER?.trim() || "parentbased_always_on";
  const name = SAMPLERS.find((known) => known === given);
  if (!name) faults.push(`OTEL_TRACES_SAMPLER: "${given}" is not one of ${SAMPLERS.join(", ")}`);
  const argument = env.OTEL_TRACES_SAMPLER_ARG?.trim();
  const ratio = argument ? Number(argument) : 1;
  if (name?.endsWith("traceidratio") && !(ratio >= 0 && ratio <= 1))
    faults.push(`OTEL_TRACES_SAMPLER_ARG: "${argument}" is not a number from 0 to 1`);
  return { name: name ?? "parentbased_always_on", ratio };
}
