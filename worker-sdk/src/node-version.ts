/** The first release that has everything that this package uses; `engines` of package.json says the same. */
const NEEDED = [22, 15] as const;

/** Refuses to run on a Node that is too old, before anything fails in its own way. @throws Error in one line. */
export function checkNodeVersion(version: string, path: string): void {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [needed, least] = NEEDED;
  if (major > needed || (major === needed && minor >= least)) return;
  const error = new Error(
    `@muster/worker needs Node ${needed}.${least} or newer, this is Node ${version} (${path}). ` +
      "Install a newer one from https://nodejs.org; in a checkout of the repository `npx node FILE` runs the one that came with it.",
  );
  // Where it was thrown says nothing.
  error.stack = `Error: ${error.message}`;
  throw error;
}

checkNodeVersion(process.versions.node, process.execPath);
