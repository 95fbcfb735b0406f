/** What is shown only when it is asked for, where the operator of the scheduler wants that. */
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { sessionQuery } from "../../data/session.ts";

export function Hidden({
  what,
  note,
  children,
}: {
  what: string;
  note?: string;
  children: ReactNode;
}): ReactNode {
  const { data: session } = useQuery(sessionQuery);
  const [asked, setAsked] = useState(false);
  if (asked || session?.payloads === "shown") return children;
  return (
    <p className="row">
      <button type="button" className="button" onClick={() => setAsked(true)}>
        Show {what}
      </button>
      {note === undefined ? null : <span className="muted small">{note}</span>}
    </p>
  );
}
