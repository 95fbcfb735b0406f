/** Says whether the page is live, and what it shows while the scheduler does not answer. */
import type { ReactNode } from "react";
import { useNow } from "../../data/clock.ts";
import { useFreshness } from "../../data/freshness.ts";
import { span } from "../../format/span.ts";
import { Badge } from "../badge.tsx";
import { Icon } from "../icons.tsx";

/** Answers come every few seconds. */
const OLD_MS = 30_000;

/** A sign in the head of the page. */
export function LiveSign(): ReactNode {
  const now = useNow();
  const { answeredAt, failingSince } = useFreshness();
  const age = answeredAt === undefined ? undefined : Math.max(0, now - answeredAt);
  const old = age !== undefined && age > OLD_MS;
  return (
    <span className="state" role="status">
      {failingSince === undefined && !old ? (
        <Badge tone={age === undefined ? "plain" : "good"} icon={age === undefined ? "wait" : "good"}>
          {age === undefined ? "Connecting" : "Live"}
        </Badge>
      ) : (
        <Badge tone="bad" icon="cut">
          {age === undefined ? "No answer" : `${span(Math.floor(age / 1_000) * 1_000)} old`}
        </Badge>
      )}
    </span>
  );
}

/** A bar below it: what is wrong with the connection. */
export function Cut(): ReactNode {
  const now = useNow();
  const { answeredAt, failingSince, problem } = useFreshness();
  if (failingSince === undefined) return null;
  const age =
    answeredAt === undefined ? undefined : Math.floor(Math.max(0, now - answeredAt) / 1_000) * 1_000;
  return (
    <div className="cut" role="alert">
      <Icon name="cut" />
      <p>
        {age === undefined ? "There has been no answer yet" : `What is shown is ${span(age)} old`}: {problem}.
        The page asks again by itself.
      </p>
    </div>
  );
}
