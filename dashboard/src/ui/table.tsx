/** A table with its headings. */
import type { ReactNode } from "react";

/** A heading: its text, or with how its column looks. */
export type Heading =
  | string
  | {
      readonly title: string;
      /** Numbers end at the right edge. */
      readonly end?: true;
      /** Only read aloud: what the cells show needs no heading for the eye. */
      readonly hidden?: true;
    };

/** @param children The rows. */
export function Table({
  headings,
  children,
}: {
  headings: readonly Heading[];
  children: ReactNode;
}): ReactNode {
  return (
    <div className="table-box">
      <table className="table">
        <thead>
          <tr>
            {headings.map((heading) => {
              const { title, end, hidden } = typeof heading === "string" ? { title: heading } : heading;
              return (
                <th key={title} scope="col" {...(end ? { className: "end" } : {})}>
                  {hidden ? <span className="visually-hidden">{title}</span> : title}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}
