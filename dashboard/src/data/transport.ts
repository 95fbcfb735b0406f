/** The scheduler's API, by Connect, at the address of the page. */
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { FleetService, TaskService } from "@muster/protocol";

/** Where the page is, with the folder that a proxy may have put it in. */
export const BASE = new URL(".", document.baseURI);

/** A call without an answer ends after this, milliseconds; streams have no limit. */
export const CALL_TIMEOUT_MS = 15_000;

// Binary messages keep 64-bit numbers and are smaller than JSON.
export const transport = createConnectTransport({
  baseUrl: BASE.href.replace(/\/$/, ""),
  useBinaryFormat: true,
});

export const fleet = createClient(FleetService, transport);
export const tasks = createClient(TaskService, transport);

/** The scheduler asks for a sign-in. */
export function isUnauthenticated(error: unknown): boolean {
  return ConnectError.from(error).code === Code.Unauthenticated;
}

/** What the scheduler said, without the code before it. */
export function messageOf(error: unknown): string {
  const { rawMessage, code } = ConnectError.from(error);
  // The browser's own words for a connection that failed.
  if (/^(failed to fetch|networkerror|load failed)/i.test(rawMessage))
    return "the scheduler cannot be reached";
  return rawMessage === "" ? `the scheduler answered ${Code[code]}` : rawMessage;
}
