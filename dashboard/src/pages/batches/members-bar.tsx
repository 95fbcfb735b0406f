/** The members of a batch by state, as a bar and in words. */
import type { BatchCounts } from "@muster/protocol";
import type { ReactNode } from "react";
import { compact } from "../../format/span.ts";
import { partsOf } from "./batch-state.ts";

const WIDTH = 1_000;

export function MembersBar({ counts, words = false }: { counts: BatchCounts; words?: boolean }): ReactNode {
  const parts = partsOf(counts).filter(({ count }) => count > 0);
  const total = Math.max(1, Number(counts.totalCount));
  let from = 0;
  const shown = parts.map((part) => {
    const x = from;
    from += (part.count / total) * WIDTH;
    return { ...part, x, width: (part.count / total) * WIDTH };
  });
  return (
    <div className="members">
      <svg
        className="members-bar"
        viewBox={`0 0 ${WIDTH} 10`}
        preserveAspectRatio="none"
        role="img"
        aria-label={parts.map(({ name, count }) => `${compact(count)} ${name}`).join(", ") || "no members"}
        focusable="false"
      >
        <rect className="bar-all" width={WIDTH} height="10" />
        {shown.map(({ name, tone, x, width }) => (
          <rect key={name} className={`part-${tone}`} x={x} width={width} height="10" />
        ))}
      </svg>
      {words ? (
        <ul className="row small">
          {parts.map(({ name, count, tone }) => (
            <li key={name} className="row part-name">
              <svg width="9" height="9" aria-hidden="true" focusable="false">
                <rect className={`part-${tone}`} width="9" height="9" rx="2" />
              </svg>
              {compact(count)} {name}
            </li>
          ))}
        </ul>
      ) : null}
    </div>
  );
}
