/** A fault of the page itself. */
import type { ErrorComponentProps } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { CopyButton } from "../copy.tsx";

export function PageError({ error: thrown }: ErrorComponentProps): ReactNode {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const stale = /dynamically imported module|import/i.test(error.message);
  return (
    <div className="page" role="alert">
      <h1>{stale ? "This page is of an earlier version" : "This page cannot be shown"}</h1>
      <p>
        {stale
          ? "The scheduler was updated, or does not answer. Load the page again."
          : "It is a fault of the dashboard; tasks and workers are not affected. The muster command shows the same facts."}
      </p>
      <p className="row">
        <button type="button" className="button primary" onClick={() => location.reload()}>
          Load again
        </button>
        <CopyButton text={`${error.message}\n${error.stack ?? ""}`} label="Copy the error" />
      </p>
      <pre className="mono muted">{error.message}</pre>
    </div>
  );
}
