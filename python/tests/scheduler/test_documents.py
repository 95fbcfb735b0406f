"""The README and the guide, run as they are printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from muster import Retry
from muster.testing import SchedulerProcess

ROOT = Path(__file__).parents[3]
README = ROOT / "python" / "README.md"
GUIDE = ROOT / "docs" / "python.md"


def files_of(page: Path, folder: Path) -> None:
    """Writes the files that a page shows."""
    found = re.findall(r"^```python (\S+)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) >= 3
    for name, text in found:
        (folder / name).write_text(text)


def run(folder: Path, scheduler: SchedulerProcess, *arguments: str) -> str:
    environment = {**os.environ, "MUSTER_HTTP_URL": scheduler.http}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_readme_does_what_it_says(tmp_path: Path, muster_scheduler: SchedulerProcess) -> None:
    files_of(README, tmp_path)
    worker = muster_scheduler.worker("app:worker", id="readme", folder=tmp_path)
    lines = run(tmp_path, muster_scheduler, "submit.py").splitlines()
    assert lines[-1] == "{'words': 80}"
    assert any(re.fullmatch(r"inference \d+", line) for line in lines[:-1])
    assert run(tmp_path, muster_scheduler, "cancel.py") == "not needed any more\n"
    with muster_scheduler.client() as client:
        wrong = client.submit("page.read", {"text": 5})
        with pytest.raises(Exception, match="text: it is a number, and must be a text"):
            wrong.result(30)
    assert worker.stop() == 0
    assert "the model is released" in worker.output
    assert "1 passed" in run(tmp_path, muster_scheduler, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_app.py")


def test_the_guide_does_what_it_says(tmp_path: Path, muster_scheduler: SchedulerProcess) -> None:
    files_of(GUIDE, tmp_path)
    worker = muster_scheduler.worker("guide:worker", id="guide", folder=tmp_path)
    printed = run(tmp_path, muster_scheduler, "client.py")
    assert printed == "[b'a', b'bc']\nEMPTY_ORDER {'id': 'o-1'}\n"
    with muster_scheduler.client() as client:
        assert client.submit("file.copy", b"busy", retry=Retry(delays=[0])).result(60) == b"busy"
    assert worker.stop() == 0


def test_the_guides_test_passes(tmp_path: Path, muster_scheduler: SchedulerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    files_of(GUIDE, tmp_path)
    scope: dict[str, object] = {}
    exec(compile((tmp_path / "test_guide.py").read_text(), "test_guide.py", "exec"), scope)
    monkeypatch.chdir(tmp_path)
    test = scope["test_with_a_scheduler"]
    assert callable(test)
    test(muster_scheduler)
