/** Compares what is said of a worker with its session and its process. */
import type { Explanation } from "@muster/protocol";
import { type Context, heldBy, sinceMs } from "./context.ts";
import type { SessionFact } from "./facts.ts";

const LIVING: ReadonlySet<string> = new Set(["registered", "ready", "draining", "suspect"]);

/** Codes that say that a worker does well. */
const WELL: ReadonlySet<string> = new Set(["IDLE_NO_WORK", "IDLE_NOT_ELIGIBLE", "DISPATCH_DELAYED", "BUSY"]);

/** What is said of a worker against its row, its tasks and its process. */
export function checkWorker(context: Context, session: SessionFact, { state, reasons }: Explanation): void {
  const { add, look } = context;
  const { workerId } = session;
  if (reasons.some(({ code }) => code === "DATABASE_UNAVAILABLE")) return;
  // A launch of the same id may be newer than its last session.
  const gone = session.goneMs !== null;
  if (gone && LIVING.has(state) && !look.after.otherWorkers.includes(workerId))
    add("state", workerId, `its state is ${state}`, `its session ended (${session.goneReason})`);
  if (!gone && !LIVING.has(state)) add("state", workerId, `its state is ${state}`, "its session lives");
  if (gone) return;
  const held = heldBy(context, session.sessionId);
  const running = held?.map(({ id, epoch }) => `${id}.${epoch}`).join(", ");
  for (const reason of reasons) {
    const says = `${reason.code}: ${reason.summary}`;
    const idle = reason.code.startsWith("IDLE_") || /\bholds nothing\b/.test(reason.summary);
    if (idle && held !== undefined && held.length > 0) add("holds", workerId, says, `it holds ${running}`);
    const count = /^it runs (\d+) attempts?\b/.exec(reason.summary)?.[1];
    if (count !== undefined && held !== undefined && Number(count) !== held.length)
      add("count", workerId, says, `it holds ${held.length}${running ? `: ${running}` : ""}`);
    const since = sinceMs(reason);
    if (since !== undefined && reason.code !== "QUEUE_PAUSED" && since < session.connectMs - look.settleMs) {
      const connected = new Date(session.connectMs).toISOString();
      // A stream that comes back keeps the session: what it held goes on from before.
      if (WELL.has(reason.code) && reason.code !== "BUSY")
        add(
          "since",
          workerId,
          `${says} since ${new Date(since).toISOString()}`,
          `it connected at ${connected}`,
        );
    }
  }
  checkProcess(context, session, state, reasons);
}

function checkProcess(
  { look, add }: Context,
  session: SessionFact,
  state: string,
  reasons: Explanation["reasons"],
): void {
  const process = look.processes.get(session.sessionId) ?? "unknown";
  const { workerId, leaseUntilMs } = session;
  if (process === "unknown" || process === "runs") return;
  const overdue = leaseUntilMs !== null && look.before.now - leaseUntilMs > look.settleMs;
  const well = reasons.find(({ code }) => WELL.has(code));
  if (well && overdue)
    add(
      "process",
      workerId,
      `${state}, ${well.code}: ${well.summary}`,
      `its process ${session.pid} ${process === "stopped" ? "is stopped" : "has ended"} and its lease is over`,
    );
}
