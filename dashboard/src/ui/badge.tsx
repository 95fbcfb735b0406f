/** A state as a word with a sign and a colour: the colour is never the only one. */
import type { ReactNode } from "react";
import { Icon, type IconName } from "./icons.tsx";

/** How a state is meant. */
export type Tone = "good" | "warn" | "bad" | "info" | "plain";

const ICONS: Readonly<Record<Tone, IconName>> = {
  good: "good",
  warn: "warn",
  bad: "bad",
  info: "run",
  plain: "gone",
};

export function Badge({
  tone,
  icon,
  children,
}: {
  tone: Tone;
  icon?: IconName;
  children: ReactNode;
}): ReactNode {
  return (
    <span className={`badge tone-${tone}`}>
      <Icon name={icon ?? ICONS[tone]} size={12} />
      {children}
    </span>
  );
}
