// Bounds of what a worker sends.

/** Slots, and attempts beyond them. */
export const MAX_SLOTS = 10_000;

/** Phases of a start, or of an attempt. */
export const MAX_PHASES = 200;

/** Characters of a name. */
export const MAX_NAME = 128;

/** Characters of a text. */
export const MAX_TEXT = 1_024;

/** Attributes of a phase, and features of a worker. */
export const MAX_ATTRIBUTES = 64;

/** Names of resources in one message. */
export const MAX_RESOURCES = 1_000;
