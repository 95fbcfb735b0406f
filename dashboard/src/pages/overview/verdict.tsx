/** Healthy or not, and the problems in the scheduler's own sentences. */
import { type Check, CheckStatus } from "@muster/protocol";
import { type ReactNode, useState } from "react";
import { useLive } from "../../data/live.ts";
import { fleet } from "../../data/transport.ts";
import { plural } from "../../format/span.ts";
import { Answer } from "../../ui/answer.tsx";
import { Icon } from "../../ui/icons.tsx";
import { Finding } from "../../ui/reason.tsx";
import { notes, problems } from "./findings.ts";

/** The diagnosis reads much: it is asked less often than the counts, milliseconds. */
const DIAGNOSIS_MS = 5_000;

/** Problems that are shown at once. */
const FIRST = 5;

export function Verdict(): ReactNode {
  const diagnosis = useLive(["diagnosis"], (options) => fleet.diagnose({}, options), DIAGNOSIS_MS);
  return (
    <Answer query={diagnosis}>{({ diagnosis: found }) => <Findings checks={found?.checks ?? []} />}</Answer>
  );
}

function Findings({ checks }: { checks: readonly Check[] }): ReactNode {
  const wrong = problems(checks);
  const noted = notes(checks);
  const [all, setAll] = useState(false);
  const tone = wrong.some(({ status }) => status === CheckStatus.FAILED)
    ? "bad"
    : wrong.length > 0
      ? "warn"
      : "good";
  const shown = all ? wrong : wrong.slice(0, FIRST);
  return (
    <section className={`panel verdict ${tone}`} aria-labelledby="verdict">
      <div className="verdict-head">
        <span className={`mark ${tone}`}>
          <Icon name={tone} size={24} />
        </span>
        <div>
          <h2 id="verdict">
            {wrong.length === 0 ? "Nothing is wrong" : `${plural(wrong.length, "problem")}, the worst first`}
          </h2>
          <p className="muted small">
            {plural(checks.length, "check")} of database, schedulers, tasks and workers
          </p>
        </div>
      </div>
      {shown.length > 0 ? (
        <ul className="reasons">
          {shown.map((check) => (
            <Finding key={check.name} check={check} />
          ))}
        </ul>
      ) : null}
      {wrong.length > FIRST ? (
        <div className="more">
          <button type="button" className="button" onClick={() => setAll(!all)}>
            {all ? "Show fewer" : `Show all ${wrong.length}`}
          </button>
        </div>
      ) : null}
      {noted.length > 0 ? (
        <details className="more">
          <summary>{plural(noted.length, "note")} worth knowing</summary>
          <ul className="reasons">
            {noted.map((check) => (
              <Finding key={check.name} check={check} />
            ))}
          </ul>
        </details>
      ) : null}
    </section>
  );
}
