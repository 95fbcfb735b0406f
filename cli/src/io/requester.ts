import { userInfo } from "node:os";

/** The default requester of a change: the user's name, or `muster` where the system has no name for the user. */
export function requester(): string {
  try {
    return userInfo().username;
  } catch (error) {
    // A container may run under a user id that its passwd file does not list.
    if (error instanceof Error) return "muster";
    throw error;
  }
}

/** A reason with the user's name: an operator who finds a setting must know whom to ask. */
export function signed(reason: string | undefined): string {
  return reason === undefined ? `by ${requester()}` : `${reason} (by ${requester()})`;
}
