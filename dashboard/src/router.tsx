/**
 * The pages by their addresses. They are behind `#`: the scheduler serves one path, whatever folder a proxy puts it in, and a
 * page can be sent as a link.
 */
import {
  createHashHistory,
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
} from "@tanstack/react-router";
import { parseSearch, stringifySearch } from "./format/search.ts";
import { NotFound } from "./ui/frame/not-found.tsx";
import { PageError } from "./ui/frame/page-error.tsx";
import { Shell } from "./ui/frame/shell.tsx";

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound, errorComponent: PageError });

/** Filters of a list are texts in the address. */
const texts = (search: Record<string, unknown>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(search).flatMap(([key, value]) => (typeof value === "string" ? [[key, value]] : [])),
  );

const overview = createRoute({
  getParentRoute: () => root,
  path: "/",
  component: lazyRouteComponent(() => import("./pages/overview/overview.tsx"), "Overview"),
});

const tasks = createRoute({
  getParentRoute: () => root,
  path: "/tasks",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/tasks/tasks.tsx"), "Tasks"),
});

const task = createRoute({
  getParentRoute: () => root,
  path: "/tasks/$id",
  component: lazyRouteComponent(() => import("./pages/task/task.tsx"), "TaskPage"),
});

const workers = createRoute({
  getParentRoute: () => root,
  path: "/workers",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/workers/workers.tsx"), "Workers"),
});

const worker = createRoute({
  getParentRoute: () => root,
  path: "/workers/$id",
  component: lazyRouteComponent(() => import("./pages/worker/worker.tsx"), "WorkerPage"),
});

const queues = createRoute({
  getParentRoute: () => root,
  path: "/queues",
  component: lazyRouteComponent(() => import("./pages/queues/queues.tsx"), "Queues"),
});

const queue = createRoute({
  getParentRoute: () => root,
  path: "/queues/$name",
  component: lazyRouteComponent(() => import("./pages/queue/queue.tsx"), "QueuePage"),
});

const errors = createRoute({
  getParentRoute: () => root,
  path: "/errors",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/errors/errors.tsx"), "Errors"),
});

const pools = createRoute({
  getParentRoute: () => root,
  path: "/pools",
  component: lazyRouteComponent(() => import("./pages/pools/pools.tsx"), "Pools"),
});

const pool = createRoute({
  getParentRoute: () => root,
  path: "/pools/$name",
  component: lazyRouteComponent(() => import("./pages/pool/pool.tsx"), "PoolPage"),
});

const schedules = createRoute({
  getParentRoute: () => root,
  path: "/schedules",
  component: lazyRouteComponent(() => import("./pages/schedules/schedules.tsx"), "Schedules"),
});

const schedule = createRoute({
  getParentRoute: () => root,
  path: "/schedules/$name",
  component: lazyRouteComponent(() => import("./pages/schedule/schedule.tsx"), "SchedulePage"),
});

const batches = createRoute({
  getParentRoute: () => root,
  path: "/batches",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/batches/batches.tsx"), "Batches"),
});

const batch = createRoute({
  getParentRoute: () => root,
  path: "/batches/$id",
  component: lazyRouteComponent(() => import("./pages/batch/batch.tsx"), "BatchPage"),
});

const limits = createRoute({
  getParentRoute: () => root,
  path: "/limits",
  validateSearch: texts,
  component: lazyRouteComponent(() => import("./pages/limits/limits.tsx"), "Limits"),
});

export const router = createRouter({
  routeTree: root.addChildren([
    overview,
    tasks,
    task,
    workers,
    worker,
    queues,
    queue,
    errors,
    pools,
    pool,
    schedules,
    schedule,
    batches,
    batch,
    limits,
  ]),
  history: createHashHistory(),
  parseSearch,
  stringifySearch,
  defaultPreload: "intent",
  defaultPreloadStaleTime: 0,
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
