/** Light or dark: as the system has it, or as it was chosen. */
import { useSyncExternalStore } from "react";

/** What was chosen. */
export type ThemeChoice = "system" | "light" | "dark";

const KEY = "muster-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();
let choice: ThemeChoice = read();
apply();
dark.addEventListener("change", tell);

function read(): ThemeChoice {
  try {
    const stored = localStorage.getItem(KEY);
    return stored === "light" || stored === "dark" ? stored : "system";
  } catch {
    // A browser may forbid storage: then the choice lasts as long as the page.
    return "system";
  }
}

function apply(): void {
  if (choice === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
}

function tell(): void {
  for (const listener of listeners) listener();
}

export function chooseTheme(next: ThemeChoice): void {
  choice = next;
  apply();
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // As above.
  }
  tell();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useThemeChoice(): ThemeChoice {
  return useSyncExternalStore(subscribe, () => choice);
}

/** The theme that is shown. */
export function useTheme(): "light" | "dark" {
  return useSyncExternalStore(subscribe, () => {
    if (choice !== "system") return choice;
    return dark.matches ? "dark" : "light";
  });
}
