/** An address that no page has. */
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";

export function NotFound(): ReactNode {
  return (
    <div className="page">
      <h1>There is no such page</h1>
      <p>
        The address names no page of this version. <Link to="/">Go to the overview</Link>, or press Ctrl-K to
        find a task, a worker or a queue.
      </p>
    </div>
  );
}
