/** What to do first, ready to copy. */
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { grpcAddressQuery } from "../../data/session.ts";
import { Copyable } from "../../ui/copy.tsx";
import { Panel } from "../../ui/panel.tsx";

const GREETER = `import { Worker } from "@muster/worker";

const worker = new Worker({
  tasks: { greet: async (ctx) => ({ text: \`Hello, \${ctx.payload.name}!\` }) },
});
await worker.run();`;

export function GettingStarted(): ReactNode {
  const { data: address = "127.0.0.1:7070" } = useQuery(grpcAddressQuery);
  return (
    <Panel title="Start a worker, then submit a task" flush>
      <div className="empty">
        <p>
          A worker is a program with handlers. This one greets; save it as <code>greeter.ts</code>:
        </p>
        <Copyable text={GREETER} />
        <p>Start it with the address of this scheduler:</p>
        <Copyable text={`MUSTER_SCHEDULER_ADDR=${address} node greeter.ts`} />
        <p>Submit a task and wait for its result:</p>
        <Copyable
          text={`MUSTER_SCHEDULER_ADDR=${address} npx muster submit greet '{"name": "Ada"}' --wait`}
        />
      </div>
    </Panel>
  );
}
