"""Finds the program that holds the connection to the scheduler."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from muster.errors import LinkError


def link_command(
    option: str | None = None, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> list[str]:
    """The words before `link -- COMMAND`: of the option, MUSTER_LINK_COMMAND, `node_modules` here or above, or the PATH.

    Nothing is fetched: a program that a registry would answer with by name need not be Muster's. LinkError says what to do.
    """
    env = os.environ if environment is None else environment
    chosen = option or env.get("MUSTER_LINK_COMMAND")
    if chosen:
        words = shlex.split(chosen)
        found = shutil.which(words[0]) if words else None
        if found is None:
            source = "--link" if option else "MUSTER_LINK_COMMAND"
            raise LinkError(f"{source} is {chosen!r}, and there is no program {words[0] if words else ''!r}")
        return [found, *words[1:]]
    here = (folder or Path.cwd()).resolve()
    for each in (here, *here.parents):
        local = each / "node_modules" / ".bin" / "muster"
        if local.is_file():
            return [str(local)]
    found = shutil.which("muster", path=env.get("PATH"))
    if found is not None:
        return [found]
    raise LinkError(
        "there is no program muster: install the npm package of Muster's command line in this folder, or set MUSTER_LINK_COMMAND "
        "to how it is called, for example 'node /opt/muster/muster.mjs'"
    )
