"""The command `muster-worker`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from muster._version import __version__
from muster.errors import LinkError, OptionsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a worker; returns the exit code: 2 for wrong usage or a link that is missing."""
    parser = argparse.ArgumentParser(prog="muster-worker", description="Runs the handlers of a Python module as a Muster worker.")
    parser.add_argument("--version", action="version", version=f"muster-worker {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run a worker", description="Runs a worker until SIGTERM or SIGINT, which drain it.")
    run.add_argument(
        "target", help="module:name of the Worker, for example app:worker; the folder of the shell is searched first"
    )
    run.add_argument("--link", metavar="COMMAND", help="how the program muster is called (env: MUSTER_LINK_COMMAND)")
    run.add_argument(
        "--reload", action="store_true", help="for development: start anew when a .py file below this folder changes"
    )
    options = parser.parse_args(arguments)
    try:
        if options.reload and not os.environ.get("MUSTER_LINK_FD"):
            from muster.command.reload import run_reloading

            return run_reloading(options.target, options.link)
        from muster.command.start import run_target

        return run_target(options.target, options.link)
    except (LinkError, OptionsError) as error:
        print(f"muster-worker: {error}", file=sys.stderr)  # noqa: T201
        return 2


if __name__ == "__main__":
    sys.exit(main())
