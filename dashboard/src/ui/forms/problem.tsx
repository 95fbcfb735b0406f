/** Why what a form asked for was not done. */
import type { ReactNode } from "react";
import { Icon } from "../icons.tsx";

export function Problem({ text }: { text: string }): ReactNode {
  return (
    <p className="row" role="alert">
      <span className="mark bad">
        <Icon name="bad" />
      </span>
      {text}
    </p>
  );
}
