import assert from "node:assert/strict";
import { it } from "node:test";
import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { DatabaseUnavailableError, Refusal } from "../../domain/errors.ts";
import type { NewTask } from "../../domain/tasks/task.ts";
import { SubmitSpans } from "./submit-spans.ts";

const PRODUCER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const task = (queue: string): NewTask => ({ queue, type: "work" }) as NewTask;

/** The spans of a call, by their kind. */
function spansOf(
  call: Record<string, string>,
  tasks: readonly NewTask[],
  end: (submit: SubmitSpans) => void,
) {
  const exporter = new InMemorySpanExporter();
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  const submit = new SubmitSpans(provider.getTracer("test"), new Headers(call), tasks);
  end(submit);
  submit.end();
  const of = (kind: SpanKind) => exporter.getFinishedSpans().filter((span) => span.kind === kind);
  const [server, ...others] = of(SpanKind.SERVER);
  assert.ok(server && others.length === 0);
  return { server, producers: of(SpanKind.PRODUCER) };
}

it("T44: a producer's span is the only one that sends; without one the scheduler writes it", () => {
  const accept = (submit: SubmitSpans) => submit.accepted([{ id: 7, duplicate: false }], 1_000, 1_001);
  const traced = spansOf({ traceparent: PRODUCER }, [task("pages")], accept);
  assert.equal(traced.producers.length, 0);
  const { server, producers } = spansOf({}, [task("pages")], accept);
  assert.deepEqual(
    producers.map(({ name, parentSpanContext }) => [name, parentSpanContext?.spanId]),
    [["submit pages", server.spanContext().spanId]],
  );
  const mixed = spansOf({}, [task("pages"), task("other")], accept);
  assert.deepEqual(
    mixed.producers.map(({ name, attributes }) => [name, attributes["messaging.destination.name"]]),
    [["submit", undefined]],
    "several queues have no name in common",
  );
});

it("a refused call has the code of its protocol, and is an error of the server only where that is at fault", () => {
  const refusal = new Refusal("precondition", "QUEUE_CLOSED", "closed");
  const away = new DatabaseUnavailableError("away", false, undefined);
  for (const { call, error, status, isError } of [
    { call: {}, error: refusal, status: "FAILED_PRECONDITION", isError: false },
    { call: {}, error: away, status: "UNAVAILABLE", isError: true },
    { call: {}, error: new TypeError("bug"), status: "INTERNAL", isError: true },
    { call: { "content-type": "application/json" }, error: away, status: "unavailable", isError: true },
  ]) {
    const { server, producers } = spansOf(call, [task("pages")], (submit) => submit.refused(error));
    assert.equal(server.attributes["rpc.status_code"], status);
    assert.equal(server.attributes["rpc.response.status_code"], status);
    assert.equal(server.attributes["error.type"], isError ? status : undefined);
    assert.equal(server.status.code === SpanStatusCode.ERROR, isError);
    assert.equal(server.attributes["muster.reason"], error instanceof Refusal ? error.reason : undefined);
    assert.deepEqual(
      producers.map(({ attributes }) => attributes["error.type"]),
      [status],
    );
  }
});
