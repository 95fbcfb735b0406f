/** Credentials of registries: those of `docker login` on the launcher's machine. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Environment } from "../environment.ts";
import type { Credentials } from "./engine.ts";

/** How Docker's configuration names its own registry. */
const DOCKER_HUB = "https://index.docker.io/v1/";

/** Time for a credential helper, milliseconds. */
const HELPER_MS = 10_000;

interface DockerConfig {
  readonly auths?: Readonly<Record<string, { readonly auth?: string; readonly identitytoken?: string }>>;
  readonly credsStore?: string;
  readonly credHelpers?: Readonly<Record<string, string>>;
}

/** What was found; `fault` says why nothing could be read. */
export interface FoundCredentials {
  readonly credentials?: Credentials;
  readonly fault?: string;
}

/** Looks in `config.json` of `DOCKER_CONFIG` or of `~/.docker`, and asks the helper that it names. Nothing is kept. */
export async function credentialsFor(image: string, env: Environment): Promise<FoundCredentials> {
  const registry = registryOf(image);
  const folder = env.DOCKER_CONFIG || join(homedir(), ".docker");
  const file = join(folder, "config.json");
  let config: DockerConfig;
  try {
    config = JSON.parse(await readFile(file, "utf8")) as DockerConfig;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return {};
    // The text of the error may quote the file: it holds passwords.
    return { fault: `${file} cannot be read as JSON` };
  }
  const helper = config.credHelpers?.[registry] ?? config.credsStore;
  if (helper) {
    const asked = await askHelper(helper, registry, env);
    if (asked.credentials !== undefined || config.credHelpers?.[registry] !== undefined) return asked;
  }
  const entry = config.auths?.[registry] ?? config.auths?.[`https://${registry}`];
  if (entry?.identitytoken)
    return { credentials: { identitytoken: entry.identitytoken, serveraddress: registry } };
  if (!entry?.auth) return {};
  const [username = "", ...password] = Buffer.from(entry.auth, "base64").toString("utf8").split(":");
  return { credentials: { username, password: password.join(":"), serveraddress: registry } };
}

/** The first part of a reference is a registry when it has a dot or a port, or is `localhost`. */
export function registryOf(image: string): string {
  const [first = "", ...rest] = image.split("/");
  return rest.length > 0 && (/[.:]/.test(first) || first === "localhost") ? first : DOCKER_HUB;
}

function askHelper(helper: string, registry: string, env: Environment): Promise<FoundCredentials> {
  const program = `docker-credential-${helper}`;
  return new Promise((resolve) => {
    const child = execFile(program, ["get"], { env: { ...env }, timeout: HELPER_MS }, (error, stdout) => {
      // A helper without an entry ends with 1 and says so on its standard output.
      if (error && /credentials not found/i.test(stdout)) resolve({});
      else if (error) resolve({ fault: `${program} failed: ${error.message.split("\n")[0]}` });
      else resolve(fromHelper(stdout, registry, program));
    });
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(registry);
  });
}

function fromHelper(stdout: string, registry: string, program: string): FoundCredentials {
  try {
    const { Username, Secret } = JSON.parse(stdout) as { Username?: string; Secret?: string };
    if (!Secret) return {};
    return Username === "<token>"
      ? { credentials: { identitytoken: Secret, serveraddress: registry } }
      : { credentials: { username: Username ?? "", password: Secret, serveraddress: registry } };
  } catch {
    return { fault: `${program} gave no JSON` };
  }
}
