import assert from "node:assert/strict";
import { it } from "node:test";
import { ROOT_CONTEXT, SpanKind } from "@opentelemetry/api";
import { SamplingDecision } from "@opentelemetry/sdk-trace";
import { createSampler } from "./sampler.ts";
import { readSampling } from "./sampling.ts";
import { DECIDED } from "./tracing.ts";

it("the sampler's variables are read, and every fault is reported", () => {
  const faults: string[] = [];
  assert.deepEqual(readSampling({}, faults), { name: "parentbased_always_on", ratio: 1 });
  const one = { OTEL_TRACES_SAMPLER: "parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.01" };
  assert.deepEqual(readSampling(one, faults), { name: "parentbased_traceidratio", ratio: 0.01 });
  assert.deepEqual(faults, []);
  readSampling({ OTEL_TRACES_SAMPLER: "sometimes" }, faults);
  readSampling({ OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "2" }, faults);
  assert.match(faults[0] ?? "", /^OTEL_TRACES_SAMPLER: "sometimes" is not one of always_on, /);
  assert.match(faults[1] ?? "", /^OTEL_TRACES_SAMPLER_ARG: "2" is not a number from 0 to 1/);
});

it("what was decided before is not decided again", () => {
  const sampler = createSampler({ name: "parentbased_always_off", ratio: 1 });
  const ask = (context = ROOT_CONTEXT) =>
    sampler.shouldSample(context, "0af7651916cd43dd8448eb211c80319c", "span", SpanKind.INTERNAL, {}, [])
      .decision;
  assert.equal(ask(), SamplingDecision.NOT_RECORD);
  assert.equal(ask(ROOT_CONTEXT.setValue(DECIDED, true)), SamplingDecision.RECORD_AND_SAMPLED);
});
