/** The pages, in the order of the menu. */
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { Icon, type IconName } from "../icons.tsx";

interface Entry {
  readonly to: "/" | "/tasks" | "/workers" | "/queues" | "/errors";
  readonly label: string;
  readonly icon: IconName;
}

const ENTRIES: readonly Entry[] = [
  { to: "/", label: "Overview", icon: "overview" },
  { to: "/tasks", label: "Tasks", icon: "tasks" },
  { to: "/errors", label: "Errors", icon: "errors" },
  { to: "/queues", label: "Queues", icon: "queues" },
  { to: "/workers", label: "Workers", icon: "workers" },
];

export function Nav(): ReactNode {
  return (
    <nav aria-label="Pages">
      <ul>
        {ENTRIES.map(({ to, label, icon }) => (
          <li key={to}>
            <Link to={to} activeOptions={{ exact: to === "/", includeSearch: false }}>
              <Icon name={icon} />
              {label}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}
