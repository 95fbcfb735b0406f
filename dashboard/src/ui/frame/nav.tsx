/** The pages, in the order of the menu. */
import { Link, useLocation } from "@tanstack/react-router";
import { type ReactNode, useEffect, useRef } from "react";
import { Icon, type IconName } from "../icons.tsx";

interface Entry {
  readonly to:
    | "/"
    | "/tasks"
    | "/workers"
    | "/queues"
    | "/errors"
    | "/pools"
    | "/schedules"
    | "/batches"
    | "/limits";
  readonly label: string;
  readonly icon: IconName;
}

const ENTRIES: readonly Entry[] = [
  { to: "/", label: "Overview", icon: "overview" },
  { to: "/tasks", label: "Tasks", icon: "tasks" },
  { to: "/errors", label: "Errors", icon: "errors" },
  { to: "/queues", label: "Queues", icon: "queues" },
  { to: "/workers", label: "Workers", icon: "workers" },
  { to: "/pools", label: "Pools", icon: "pools" },
  { to: "/schedules", label: "Schedules", icon: "schedules" },
  { to: "/batches", label: "Batches", icon: "batches" },
  { to: "/limits", label: "Limits", icon: "limits" },
];

export function Nav(): ReactNode {
  const nav = useRef<HTMLElement>(null);
  const { pathname } = useLocation();
  // On a phone the menu is a line that scrolls: the current page is to be seen in it.
  // biome-ignore lint/correctness/useExhaustiveDependencies: another page has another current entry
  useEffect(() => {
    const current = nav.current?.querySelector('[aria-current="page"]');
    current?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [pathname]);
  return (
    <nav aria-label="Pages" ref={nav}>
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
