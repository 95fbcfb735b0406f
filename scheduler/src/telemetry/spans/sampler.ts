/** The sampler of the scheduler's spans. */
import type { Context } from "@opentelemetry/api";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  type Sampler,
  SamplingDecision,
  TraceIdRatioBasedSampler,
} from "@opentelemetry/sdk-trace";
import type { Sampling } from "./sampling.ts";
import { DECIDED } from "./tracing.ts";

/** The sampler that was asked for, but for spans whose fate is already decided. */
export function createSampler({ name, ratio }: Sampling): Sampler {
  const sampler = named(name, ratio);
  return {
    shouldSample: (context: Context, traceId, spanName, kind, attributes, links) =>
      context.getValue(DECIDED) === true
        ? { decision: SamplingDecision.RECORD_AND_SAMPLED }
        : sampler.shouldSample(context, traceId, spanName, kind, attributes, links),
    toString: () => sampler.toString(),
  };
}

function named(name: Sampling["name"], ratio: number): Sampler {
  switch (name) {
    case "always_on":
      return new AlwaysOnSampler();
    case "always_off":
      return new AlwaysOffSampler();
    case "traceidratio":
      return new TraceIdRatioBasedSampler(ratio);
    case "parentbased_always_on":
      return new ParentBasedSampler({ root: new AlwaysOnSampler() });
    case "parentbased_always_off":
      return new ParentBasedSampler({ root: new AlwaysOffSampler() });
    case "parentbased_traceidratio":
      return new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) });
    default:
      return name satisfies never;
  }
}
