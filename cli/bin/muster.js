#!/usr/bin/env node
// Plain JavaScript that any Node can parse, so that an old one gets a sentence instead of a syntax error.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 15)) {
  process.stderr.write(
    `error: muster needs Node 22.15 or newer, this is Node ${process.versions.node} (${process.execPath})\n` +
      "  In a checkout of the repository, `npx muster` or `npm run muster --` run it with the Node that came with it;\n" +
      "  elsewhere install a newer one from https://nodejs.org.\n",
  );
  process.exitCode = 2;
} else {
  const { main } = await import("@muster/cli/main");
  process.exitCode = await main(process.argv.slice(2));
}
