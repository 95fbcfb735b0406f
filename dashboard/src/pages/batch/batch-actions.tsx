/** Closes and cancels a batch. */
import type { Batch } from "@muster/protocol";
import type { ReactNode } from "react";
import { tasks } from "../../data/transport.ts";
import { Action } from "../../ui/action.tsx";
import { openOf } from "../batches/batch-state.ts";

export function BatchActions({ batch }: { batch: Batch }): ReactNode {
  const { id, closeTime, cancelTime, counts } = batch;
  const ended = closeTime !== undefined && counts !== undefined && openOf(counts) === 0;
  if (cancelTime || ended) return null;
  return (
    <>
      {closeTime ? null : (
        <Action
          key="close"
          label="Close"
          title={`Close the batch ${id}`}
          consequence="It takes no more tasks; its completion task starts when all members have ended."
          asksReason={false}
          call={() => tasks.closeBatch({ batchId: id })}
        />
      )}
      <Action
        key="cancel"
        label="Cancel"
        title={`Cancel the batch ${id}`}
        consequence="Members that wait end at once; those that run are asked to stop. It takes no more tasks."
        danger
        call={(reason) => tasks.cancelBatch({ batchId: id, reason })}
      />
    </>
  );
}
