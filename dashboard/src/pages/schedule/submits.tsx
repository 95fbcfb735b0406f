/** What a schedule submits, and what becomes of ticks that are late or overlap. */
import { CatchUpPolicy, OverlapPolicy, type Schedule } from "@muster/protocol";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { durationMs, span } from "../../format/span.ts";
import { ContentView } from "../../ui/content/content-view.tsx";
import { FactList } from "../../ui/fact-list.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Ago } from "../../ui/time.tsx";

const OVERLAPS: Readonly<Record<OverlapPolicy, string>> = {
  [OverlapPolicy.UNSPECIFIED]: "",
  [OverlapPolicy.ALLOW]: "a tick submits beside earlier tasks",
  [OverlapPolicy.SKIP]: "a tick submits nothing while an earlier task is open",
  [OverlapPolicy.CANCEL_RUNNING]: "a tick cancels earlier tasks",
  [OverlapPolicy.QUEUE]: "the task of a tick waits for earlier ones",
};

const CATCH_UPS: Readonly<Record<CatchUpPolicy, string>> = {
  [CatchUpPolicy.UNSPECIFIED]: "",
  [CatchUpPolicy.SKIP_MISSED]: "missed ticks are not submitted",
  [CatchUpPolicy.LAST]: "the latest missed tick is submitted",
  [CatchUpPolicy.ALL]: "all missed ticks are submitted",
};

export function Submits({ schedule }: { schedule: Schedule }): ReactNode {
  const { spec, failure, pauseTime, pauseReason, setTime, dueTime } = schedule;
  const cron = spec?.timing.case === "cron" ? spec.timing.value : undefined;
  const jitter = durationMs(spec?.jitter);
  const queue = spec?.task?.queue || "default";
  return (
    <Panel title="What it submits">
      <FactList
        facts={[
          ["Task type", spec?.task?.taskType],
          [
            "Queue",
            <Link key="queue" to="/queues/$name" params={{ name: queue }}>
              {queue}
            </Link>,
          ],
          ["Cron", cron ? <code key="cron">{cron.expression}</code> : undefined],
          ["Time zone", cron ? cron.timezone || "UTC" : undefined],
          ["Jitter", jitter ? `up to ${span(jitter)}` : undefined],
          ["Overlap", spec ? OVERLAPS[spec.overlap] : undefined],
          ["Missed ticks", spec ? CATCH_UPS[spec.catchUp] : undefined],
          ["Due", dueTime ? <Ago key="due" time={dueTime} /> : undefined],
          [
            "Paused",
            pauseTime ? (
              <span key="pause">
                {pauseReason} <Ago time={pauseTime} />
              </span>
            ) : undefined,
          ],
          [
            "Refused",
            failure ? (
              <span key="failure">
                <code>{failure.code}</code> {failure.message}, {failure.count} times since{" "}
                <Ago time={failure.sinceTime} />
              </span>
            ) : undefined,
          ],
          ["Set", setTime ? <Ago key="set" time={setTime} /> : undefined],
        ]}
      />
      {spec?.task ? (
        <details>
          <summary>Payload</summary>
          <ContentView bytes={spec.task.payload} contentType={spec.task.contentType} name={spec.name} />
        </details>
      ) : null}
    </Panel>
  );
}
