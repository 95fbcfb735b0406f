/** Icons: strokes on a grid of 16, drawn here so that nothing else is loaded. */
import type { ReactNode } from "react";

const PATHS = {
  overview: "M2.5 13.5V9M6.2 13.5V4.5M9.8 13.5V7M13.5 13.5V2.5",
  tasks: "M5.5 4h8M5.5 8h8M5.5 12h8M2.5 4h.01M2.5 8h.01M2.5 12h.01",
  workers: "M3 3h10v4H3zM3 9h10v4H3zM5.5 5h.01M5.5 11h.01",
  queues: "M2.5 4.5h11M2.5 8h7.5M2.5 11.5h4.5M12 8.5v4.5M10 11l2 2 2-2",
  errors: "M8 2.5 14 13H2zM8 6.5v3M8 11.3h.01",
  pools: "M8 2.2 13.2 5 8 7.8 2.8 5zM2.8 8 8 10.8 13.2 8M2.8 11 8 13.8 13.2 11",
  schedules: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM8 5v3l2 1.6",
  batches: "M2.5 2.5h5v5h-5zM8.5 8.5h5v5h-5zM10.5 2.5h3v3M2.5 10.5v3h3",
  limits: "M2.5 12a5.5 5.5 0 0 1 11 0M8 12l3-4M2.5 12h1.5M12 12h1.5",
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM10.3 10.3l3.2 3.2",
  good: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8zM5.2 8.2l2 2 3.6-4",
  warn: "M8 2 14.2 13.2H1.8zM8 6.3v3.2M8 11.4h.01",
  bad: "M5.4 1.8h5.2l3.6 3.6v5.2l-3.6 3.6H5.4l-3.6-3.6V5.4zM8 4.8v3.8M8 11h.01",
  info: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8zM8 7.4v3.4M8 5.2h.01",
  wait: "M4 2.5h8M4 13.5h8M5 2.5c0 3 6 4.5 6 8v3M11 2.5c0 3-6 4.5-6 8v3",
  run: "M4.5 3v10l8-5z",
  pause: "M5 3v10M11 3v10",
  gone: "M3.5 8h9",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  theme: "M8 2.2a5.8 5.8 0 1 0 0 11.6zM8 2.2a5.8 5.8 0 0 1 0 11.6",
  cut: "M2.5 8h3M10.5 8h3M6.5 5l3 6",
} as const;

/** Name of an icon. */
export type IconName = keyof typeof PATHS;

/** An icon beside a text: readers of screens skip it. */
export function Icon({ name, size = 16 }: { name: IconName; size?: number }): ReactNode {
  return (
    <svg
      className="icon"
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
