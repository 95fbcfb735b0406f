/** Reasons and checks: what is the case, what to do, and the facts behind it. */
import type { Check, Evidence, Explanation } from "@muster/protocol";
import { CheckStatus } from "@muster/protocol";
import type { ReactNode } from "react";
import { durationMs, span } from "../format/span.ts";
import { Icon, type IconName } from "./icons.tsx";
import { Sentence } from "./sentence.tsx";
import { Ago } from "./time.tsx";

const CHECK_ICONS: Readonly<Partial<Record<CheckStatus, { icon: IconName; tone: string; word: string }>>> = {
  [CheckStatus.FAILED]: { icon: "bad", tone: "bad", word: "Stops work" },
  [CheckStatus.WARNING]: { icon: "warn", tone: "warn", word: "Warning" },
  [CheckStatus.NOTE]: { icon: "info", tone: "info", word: "Note" },
  [CheckStatus.SKIPPED]: { icon: "gone", tone: "plain", word: "Not checked" },
};

/** A finding of the diagnosis. */
export function Finding({ check }: { check: Check }): ReactNode {
  const { icon, tone, word } = CHECK_ICONS[check.status] ?? {
    icon: "good" as const,
    tone: "good",
    word: "Fine",
  };
  return (
    <li className="reason">
      <span className={`mark ${tone}`}>
        <Icon name={icon} size={18} />
      </span>
      <div>
        <p className="summary">
          <span className="visually-hidden">{word}: </span>
          <Sentence text={check.summary} />
        </p>
        {check.remedy === "" ? null : (
          <p className="remedy">
            <Sentence text={check.remedy} />
          </p>
        )}
        <Facts evidence={check.evidence} />
      </div>
    </li>
  );
}

/** Why something is in its state, most important reason first. */
export function Reasons({ explanation }: { explanation: Explanation }): ReactNode {
  return (
    <ul className="reasons">
      {explanation.reasons.map((reason) => (
        <li className="reason" key={`${reason.code} ${reason.summary}`}>
          <span className="mark info">
            <Icon name="info" size={18} />
          </span>
          <div>
            <p className="summary">
              <Sentence text={reason.summary} />
            </p>
            {reason.remedy === "" ? null : (
              <p className="remedy">
                <Sentence text={reason.remedy} />
              </p>
            )}
            <p className="muted small">
              <code>{reason.code}</code>
              {reason.since ? (
                <>
                  {" "}
                  since <Ago time={reason.since} />
                </>
              ) : null}
            </p>
            <Facts evidence={reason.evidence} />
          </div>
        </li>
      ))}
    </ul>
  );
}

/** The facts, folded. */
function Facts({ evidence }: { evidence: readonly Evidence[] }): ReactNode {
  if (evidence.length === 0) return null;
  return (
    <details>
      <summary>Evidence ({evidence.length})</summary>
      <dl className="facts">
        {evidence.map(({ key, value, source, age }, index) => {
          const ageMs = durationMs(age);
          return [
            <dt key={`k${index}`}>{key}</dt>,
            <dd key={`v${index}`}>
              <Sentence text={value} />{" "}
              <span className="muted">
                {source}
                {ageMs === undefined ? "" : `, ${span(ageMs)} old`}
              </span>
            </dd>,
          ];
        })}
      </dl>
    </details>
  );
}
