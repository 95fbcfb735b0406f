/** An attempt that is in one phase for longer than this is called stuck whatever its watchdogs say: five minutes. */
export const STUCK_AFTER_MS = 300_000;
