/** Why failed starts suspend the launches of a pool, and what comes next. */
import { type LaunchGuard, LaunchGuardState } from "@muster/protocol";
import type { ReactNode } from "react";
import { Badge } from "../../ui/badge.tsx";
import { FactList } from "../../ui/fact-list.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Ago } from "../../ui/time.tsx";

export function Guard({ guard }: { guard: LaunchGuard }): ReactNode {
  if (guard.state === LaunchGuardState.CLOSED) return null;
  const probing = guard.state === LaunchGuardState.HALF_OPEN;
  return (
    <Panel title="Launches are suspended">
      <FactList
        facts={[
          [
            "State",
            <Badge key="state" tone={probing ? "warn" : "bad"}>
              {probing ? "a probe decides" : "suspended"}
            </Badge>,
          ],
          ["Since", guard.openTime ? <Ago key="since" time={guard.openTime} /> : undefined],
          ["Evidence", `${guard.failedCount} of ${guard.startCount} starts failed`],
          [
            "Most frequent cause",
            guard.cause === "" ? undefined : (
              <span key="cause">
                <code>{guard.cause}</code>, {guard.causeCount} of them; for example{" "}
                <a href={`#launch-${guard.exampleLaunchId}`} className="mono" onClick={jump}>
                  {guard.exampleLaunchId}
                </a>
              </span>
            ),
          ],
          ["Next probe", guard.probeTime ? <Ago key="probe" time={guard.probeTime} /> : undefined],
          [
            "Probe",
            guard.probeLaunchId === "" ? undefined : (
              <span className="mono" key="launch">
                {guard.probeLaunchId}
              </span>
            ),
          ],
        ]}
      />
    </Panel>
  );
}

/** The part after `#` is the page's own address: it stays. */
function jump(event: { preventDefault(): void; currentTarget: HTMLAnchorElement }): void {
  event.preventDefault();
  document.getElementById(event.currentTarget.hash.slice(1))?.scrollIntoView({ block: "center" });
}
