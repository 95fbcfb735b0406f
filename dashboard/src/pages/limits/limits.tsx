/** What keeps tasks from starting whatever workers there are: circuits, concurrency keys and rate limits. */
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { Circuits } from "./circuits.tsx";
import { Locks } from "./locks.tsx";
import { RateLimits } from "./rate-limits.tsx";

const MAX_KEY = 256;

const route = getRouteApi("/limits");

export function Limits(): ReactNode {
  const key = (route.useSearch().key ?? "").slice(0, MAX_KEY);
  const navigate = useNavigate();
  return (
    <div className="page">
      <div className="title">
        <h1>Limits</h1>
        <input
          className="input"
          aria-label="Only this key"
          placeholder="Only this key"
          maxLength={MAX_KEY}
          value={key}
          onChange={(event) =>
            void navigate({ to: "/limits", search: { key: event.target.value }, replace: true })
          }
        />
      </div>
      <Circuits only={key} />
      <Locks only={key} />
      <RateLimits only={key} />
    </div>
  );
}
