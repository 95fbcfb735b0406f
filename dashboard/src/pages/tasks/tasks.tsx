/** The list of tasks, newest first, as long as one scrolls. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { type ReactNode, useMemo } from "react";
import { CALL_TIMEOUT_MS, messageOf, tasks } from "../../data/transport.ts";
import { CopyButton } from "../../ui/copy.tsx";
import { FilterBar } from "./filter-bar.tsx";
import { readFilters, type TaskFilters, toCommand, toRequest } from "./filters.ts";
import { NoTasks } from "./no-tasks.tsx";
import { SavedViews } from "./saved-views.tsx";
import { TaskList } from "./task-list.tsx";

const PAGE_SIZE = 100;

/** The first page is asked for so often while nothing more is loaded, milliseconds. */
const LIST_MS = 2_500;

const route = getRouteApi("/tasks");

export function Tasks(): ReactNode {
  const search = route.useSearch();
  const navigate = useNavigate({ from: "/tasks" });
  const filters = useMemo(() => readFilters(search), [search]);
  const list = useInfiniteQuery({
    queryKey: ["tasks", filters],
    queryFn: ({ pageParam, signal }) =>
      tasks.listTasks(
        { ...toRequest(filters, Date.now()), pageSize: PAGE_SIZE, pageToken: pageParam },
        { signal, timeoutMs: CALL_TIMEOUT_MS },
      ),
    initialPageParam: "",
    getNextPageParam: ({ nextPageToken }) => (nextPageToken === "" ? undefined : nextPageToken),
    refetchInterval: ({ state }) => ((state.data?.pages.length ?? 0) > 1 ? false : LIST_MS),
    refetchOnWindowFocus: false,
  });
  const rows = useMemo(() => list.data?.pages.flatMap((page) => page.tasks) ?? [], [list.data]);
  const change = (next: TaskFilters) => void navigate({ search: { ...next }, replace: true });
  const paused = (list.data?.pages.length ?? 0) > 1;
  return (
    <div className="page tasks-page">
      <div className="title">
        <h1>Tasks</h1>
        <div className="row">
          {paused ? (
            <button type="button" className="button" onClick={() => void list.refetch()}>
              Updates rest while more is loaded: read again
            </button>
          ) : null}
          <CopyButton text={toCommand(filters)} label="Copy as a command" />
        </div>
      </div>
      <SavedViews filters={filters} onOpen={change} />
      <FilterBar filters={filters} onChange={change} />
      {list.error && rows.length === 0 ? <p role="alert">{messageOf(list.error)}</p> : null}
      {list.isSuccess && rows.length === 0 && !list.hasNextPage ? (
        <NoTasks filtered={Object.keys(filters).length > 0} onClear={() => change({})} />
      ) : (
        <TaskList
          rows={rows}
          loading={list.isFetchingNextPage || list.isPending}
          more={list.hasNextPage}
          onMore={() => void list.fetchNextPage()}
        />
      )}
    </div>
  );
}
