/** First Node release with everything that this package uses; the same as `engines` of package.json. */
const NEEDED = [22, 15] as const;

/** Refuses a Node that is too old before anything else fails on it. @throws Error of one line. */
export function checkNodeVersion(version: string, path: string): void {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [needed, least] = NEEDED;
  if (major > needed || (major === needed && minor >= least)) return;
  const error = new Error(
    `@muster/worker needs Node ${needed}.${least} or newer, this is Node ${version} (${path}). ` +
      "Install a newer one from https://nodejs.org; in a checkout of the repository `npx node FILE` runs the one that came with it.",
  );
  // The place of the throw is no help.
  error.stack = `Error: ${error.message}`;
  throw error;
}

checkNodeVersion(process.versions.node, process.execPath);
