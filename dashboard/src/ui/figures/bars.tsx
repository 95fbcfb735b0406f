/** Counts over time as small bars, beside text that says the same. */
import type { ReactNode } from "react";

const WIDTH = 4;
const HEIGHT = 30;

/** Least height of a bar that is not zero, so that one failure beside thousands is seen. */
const LEAST = 3;

export function Bars({ counts, label }: { counts: readonly number[]; label: string }): ReactNode {
  const most = Math.max(1, ...counts);
  const width = counts.length * WIDTH;
  return (
    <svg
      className="bars"
      viewBox={`0 0 ${width} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
      focusable="false"
    >
      <rect className="bars-base" x="0" y={HEIGHT - 1} width={width} height="1" />
      {counts.map((count, step) => {
        const height = count === 0 ? 0 : Math.max(LEAST, (count / most) * HEIGHT);
        return (
          <rect
            key={step}
            className="bars-count"
            x={step * WIDTH}
            y={HEIGHT - height}
            width={WIDTH - 1}
            height={height}
          />
        );
      })}
    </svg>
  );
}
