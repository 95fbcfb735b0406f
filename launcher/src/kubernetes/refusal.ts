/** What the answer of the cluster to a call means for a launch. */
import { ClusterError } from "./cluster-api.ts";

/** Why a launch is not made. */
export interface Refusal {
  /** One word: the launch's reason. */
  readonly reason: string;
  readonly detail: string;
  /** Another try does not help: the launch has failed. */
  readonly final: boolean;
}

/** What was called. */
export interface Attempted {
  readonly verb: "create" | "delete" | "get" | "list" | "watch";
  readonly resource: "pods" | "secrets" | "events" | "pods/log";
  readonly namespace: string;
}

/** What an error means. */
export function refusalOf(error: unknown, attempted: Attempted): Refusal {
  if (!(error instanceof ClusterError)) throw error;
  const { status, message, reason } = error;
  const later = (word: string, detail = message): Refusal => ({ reason: word, detail, final: false });
  const never = (word: string): Refusal => ({ reason: word, detail: message, final: true });
  switch (status) {
    case 0:
      return later("ApiServerUnreachable");
    case 401:
      return later("Unauthorized", `${message}: the API server does not accept the launcher's credentials`);
    case 403:
      if (/exceeded quota|failed quota|status unknown for quota/.test(message)) return later("QuotaExceeded");
      if (/violates PodSecurity/.test(message)) return never("PodSecurity");
      if (/cannot \w+ resource/.test(message)) return later("Forbidden", `${message}; ${ruleFor(attempted)}`);
      return never("AdmissionRefused");
    case 404:
      return never(/^namespaces? /.test(message) ? "NamespaceNotFound" : "NotFound");
    case 400:
    case 422:
      return never(/admission webhook/.test(message) ? "AdmissionRefused" : "InvalidPod");
    default:
      return later(status === 409 && reason === "Conflict" ? "Conflict" : "ApiServerError");
  }
}

/** The rule that is missing. */
function ruleFor({ verb, resource, namespace }: Attempted): string {
  return `add the rule { apiGroups: [""], resources: ["${resource}"], verbs: ["${verb}"] } to a Role of namespace ${namespace} that the launcher's account is bound to`;
}
