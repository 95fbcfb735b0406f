import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { systemClock } from "../../launcher/src/clock.ts";
import type { Cloud, Notice } from "../../launcher/src/notices/notice.ts";
import { noticeSettings } from "../../launcher/src/notices/notice-settings.ts";
import { NoticeWatch } from "../../launcher/src/notices/notice-watch.ts";
import { AZURE_NAME, MetadataServer } from "../support/cloud/metadata-server.ts";
import { until } from "../support/waits.ts";

const ACTION = "/latest/meta-data/spot/instance-action";

describe("the watch for notices of a cloud", () => {
  let endpoint: MetadataServer;
  let watch: NoticeWatch | undefined;
  let notices: Notice[];
  let failures: string[];
  let recoveries: number;

  beforeEach(async () => {
    endpoint = await MetadataServer.start();
    [notices, failures, recoveries] = [[], [], 0];
  });
  afterEach(async () => {
    watch?.stop();
    await endpoint.stop();
  });

  /** The clock of a test: pauses are one turn of the loop. */
  const clock = { ...systemClock, sleep: () => new Promise<void>((resolve) => setImmediate(resolve)) };
  const start = (cloud: Cloud, address = endpoint.address) => {
    const settings = noticeSettings({}, { notices: cloud, noticesAddress: address });
    assert.ok(settings);
    watch = NoticeWatch.of(settings, clock, {
      notice: (notice) => void notices.push(notice),
      unreachable: (message) => void failures.push(message),
      reachable: () => recoveries++,
    });
    return watch;
  };
  const asked = async (times: number, request: string) => {
    const count = () => endpoint.requests.filter((each) => each === request).length;
    const before = count();
    await until(`${request} was asked`, () => count() >= before + times || undefined);
  };
  const first = () => until("there is a notice", () => notices[0]);

  it("of AWS: nothing, an advice, then an interruption; the token is asked for once", async () => {
    start("aws");
    await asked(2, `GET ${ACTION}`);
    assert.deepEqual([notices, failures], [[], []]);
    endpoint.recommendRebalance();
    const advice = await first();
    assert.deepEqual([advice.event, advice.endsInMs], ["rebalance", undefined]);
    assert.match(advice.detail, /^rebalance recommendation of \d{4}-/);
    await asked(2, `GET ${ACTION}`);
    endpoint.interrupt("terminate", 120_000);
    const notice = await until("there is a second notice", () => notices[1]);
    assert.deepEqual([notice.source, notice.event], ["aws", "terminate"]);
    assert.match(notice.detail, /^spot interruption at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    const { endsInMs = 0 } = notice;
    assert.ok(endsInMs > 117_000 && endsInMs <= 121_000, String(endsInMs));
    assert.equal(notices.length, 2);
    assert.equal(endpoint.requests.filter((each) => each.endsWith("/api/token")).length, 1);
  });

  it("of AWS: the answer's date counts, not this machine's clock, and an expired token is replaced", async () => {
    let calls = 0;
    endpoint.replies.set(ACTION, () => {
      if (++calls === 1) return { status: 401 };
      const body = JSON.stringify({ action: "stop", time: "2017-09-18T08:22:00Z" });
      return { status: 200, body, headers: { date: "Mon, 18 Sep 2017 08:20:00 GMT" } };
    });
    start("aws");
    assert.equal((await first()).endsInMs, 120_000);
    assert.equal(endpoint.requests.filter((each) => each.endsWith("/api/token")).length, 2);
    assert.deepEqual(failures, []);
  });

  it("of GCP: one request waits for the change", async () => {
    start("gcp");
    await until("a request waits", () => endpoint.waiting === 1 || undefined);
    assert.equal(endpoint.requests.length, 2);
    endpoint.preempt();
    assert.deepEqual(await first(), { source: "gcp", event: "preempted", detail: "", endsInMs: 30_000 });
  });

  it("of Azure: those of this machine alone that end it, the earliest first", async () => {
    const event = (EventType: string, Resources: string[], NotBefore: string) => ({
      ...{ EventId: "602d9444-d2cd-49c7-8624-8643e7171297", EventStatus: "Scheduled", EventType },
      ...{
        ResourceType: "VirtualMachine",
        Resources,
        NotBefore,
        EventSource: "Platform",
        DurationInSeconds: -1,
      },
      Description: "Spot VM eviction",
    });
    const inMs = (ms: number) => new Date(Date.now() + ms).toUTCString();
    endpoint.schedule(
      event("Preempt", ["workers_1"], inMs(10_000)),
      event("Freeze", [AZURE_NAME], inMs(10_000)),
    );
    start("azure");
    await asked(2, "GET /metadata/scheduledevents");
    assert.deepEqual(notices, []);
    endpoint.schedule(
      event("Terminate", ["workers_1", AZURE_NAME], inMs(600_000)),
      event("Preempt", [AZURE_NAME], inMs(30_000)),
    );
    const notice = await first();
    assert.deepEqual([notice.event, notice.detail], ["Preempt", "Platform: Spot VM eviction"]);
    const { endsInMs = 0 } = notice;
    assert.ok(endsInMs > 27_000 && endsInMs <= 31_000, String(endsInMs));
    endpoint.schedule({ ...event("Preempt", [AZURE_NAME], ""), EventStatus: "Started" });
    watch?.stop();
    notices = [];
    start("azure");
    assert.equal((await first()).endsInMs, 0, "it has begun");
  });

  it("T93: survives an endpoint that is not as it should be, says so once, and goes on", async () => {
    const broken: [name: string, reply: Parameters<MetadataServer["replies"]["set"]>[1], said: RegExp][] = [
      ["refuses", () => ({ status: 403, body: "Forbidden" }), /instance-action answered 403: "Forbidden"$/],
      ["wants another token", () => ({ status: 401 }), /instance-action answered 401: ""$/],
      [
        "redirects",
        () => ({ status: 302, headers: { location: "http://192.0.2.1/" } }),
        /answered 302, and redirects are not followed/,
      ],
      [
        "answers garbage",
        () => ({ status: 200, body: "<html>login</html>" }),
        /answered 200: "<html>login<\/html>"$/,
      ],
      ["answers another shape", () => ({ status: 200, body: '["terminate"]' }), /answered 200: /],
      ["has no time", () => ({ status: 200, body: '{"action":"terminate"}' }), /answered 200: /],
      [
        "is a century off",
        () => ({ status: 200, body: '{"action":"stop","time":"2126-01-01T00:00:00Z"}' }),
        /answered 200: /,
      ],
      [
        "answers megabytes",
        () => ({ status: 200, body: Buffer.alloc(5_000_000, 0x20) }),
        /the answer is larger than 64 KiB$/,
      ],
    ];
    start("aws");
    for (const [name, reply, said] of broken) {
      const [before, recovered] = [failures.length, recoveries];
      endpoint.replies.set(ACTION, reply);
      const failure = await until(`an endpoint that ${name} is named`, () => failures[before]);
      assert.match(failure, said, name);
      assert.ok(!failure.includes("\n") && failure.length < 300, failure);
      await asked(2, `GET ${ACTION}`);
      assert.equal(failures.length, before + 1, `said once: ${name}`);
      endpoint.replies.delete(ACTION);
      await until(`it answers again: ${name}`, () => recoveries > recovered || undefined);
    }
    assert.deepEqual(notices, []);
    endpoint.interrupt("terminate", 60_000);
    await first();
  });

  it("T93: gives up a call that is not answered in time", async () => {
    endpoint.replies.set(ACTION, () => undefined);
    const timers: (() => void)[] = [];
    const after = (_: number, callback: () => void) => {
      timers.push(callback);
      return () => void timers.splice(timers.indexOf(callback), 1);
    };
    const settings = noticeSettings({ MUSTER_NOTICES: "aws", MUSTER_NOTICES_ADDRESS: endpoint.address });
    assert.ok(settings);
    watch = NoticeWatch.of(
      settings,
      { ...clock, after },
      {
        notice: (notice) => void notices.push(notice),
        unreachable: (message) => void failures.push(message),
        reachable: () => recoveries++,
      },
    );
    await asked(1, `GET ${ACTION}`);
    assert.equal(timers.length, 1);
    timers[0]?.();
    const failure = await until("it is named", () => failures[0]);
    assert.match(
      failure,
      /^GET http:\/\/127\.0\.0\.1:\d+\/latest\/meta-data\/spot\/instance-action: no complete answer within 5 s$/,
    );
  });

  it("T93: names a server that is not Google's, and an endpoint that nothing listens at", async () => {
    endpoint.replies.set("/computeMetadata/v1/instance/preempted", () => ({ status: 200, body: "TRUE" }));
    start("gcp");
    assert.match(await until("it is named", () => failures[0]), /not answered by Google's metadata server/);
    assert.deepEqual(notices, []);
    watch?.stop();
    failures = [];
    const { address } = endpoint;
    await endpoint.stop();
    start("azure", address);
    assert.match(await until("it is named", () => failures[0]), /ECONNREFUSED/);
    endpoint = await MetadataServer.start();
  });

  it("is not started without a setting, and refuses one that is none", () => {
    assert.equal(noticeSettings({}), undefined);
    assert.throws(
      () => noticeSettings({ MUSTER_NOTICES: "oracle" }),
      /"oracle" is no cloud whose notices are known: aws, gcp, azure/,
    );
    for (const address of ["169.254.169.254", "https://169.254.169.254", "http://"])
      assert.throws(
        () => noticeSettings({ MUSTER_NOTICES: "aws", MUSTER_NOTICES_ADDRESS: address }),
        /is no address of a metadata endpoint/,
        address,
      );
  });
});
