/** A part of a page with its title. */
import { type ReactNode, useId } from "react";

export function Panel({
  title,
  note,
  flush = false,
  children,
}: {
  title: string;
  note?: ReactNode;
  /** Its content reaches the border. */
  flush?: boolean;
  children: ReactNode;
}): ReactNode {
  const id = useId();
  return (
    <section className="panel" aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {note === undefined ? null : <span className="muted small">{note}</span>}
      </header>
      <div className={flush ? "body flush" : "body"}>{children}</div>
    </section>
  );
}
