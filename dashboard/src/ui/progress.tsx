/** A share that is done, as a bar with its number. */
import type { ReactNode } from "react";

const WIDTH = 64;

export function Progress({ share }: { share: number | undefined }): ReactNode {
  if (share === undefined) return <span className="muted">–</span>;
  const percent = Math.floor(Math.min(1, Math.max(0, share)) * 100);
  return (
    <span className="row num">
      <svg className="bar" width={WIDTH} height="6" aria-hidden="true" focusable="false">
        <rect className="bar-all" width={WIDTH} height="6" rx="3" />
        <rect className="bar-done" width={(WIDTH * percent) / 100} height="6" rx="3" />
      </svg>
      {percent} %
    </span>
  );
}
