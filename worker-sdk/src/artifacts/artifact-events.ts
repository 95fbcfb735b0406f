/** Names of events of artifacts. */

/** A valid artifact was there already: an event of the attempt, and of the log. */
export const ARTIFACT_SKIPPED = "task.artifact.skipped";
