/** Counts in a row, each with its name and a note. */
import type { ReactNode } from "react";

export interface FigureFacts {
  readonly label: string;
  readonly value: string;
  readonly note: string;
  readonly bad?: boolean;
}

export function FigureRow({ figures }: { figures: readonly FigureFacts[] }): ReactNode {
  return (
    <dl className="figures">
      {figures.map(({ label, value, note, bad }) => (
        <div className="figure" key={label}>
          <dt>{label}</dt>
          <dd className={bad ? "value bad" : "value"}>{value}</dd>
          <dd className="note">{note}</dd>
        </div>
      ))}
    </dl>
  );
}
