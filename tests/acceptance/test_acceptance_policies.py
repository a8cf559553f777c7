"""A policy as somebody installs it beside us: listed, checked, and told what it breaks."""

import asyncio
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.world import SURECLOSE

PAGE = Path(__file__).parents[2] / "docs" / "harvest.md"
BROKEN = "import my_absent_library\n"
CLOCK = """
import time
from decimal import Decimal

from sureclose.policies import Proposal

class Clock:
    name = "clock"

    def judge(self, view):
        return Proposal(name=f"at-{int(time.time())}", action="CLOSE", fraction=1.0, reason="now")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages: the example of the page, one that is bad and one that can't be imported."""
    folder = tmp_path_factory.mktemp("site")
    page = PAGE.read_text()
    blocks = [
        re.findall(f"```{language}\n(.*?)```", page, flags=re.DOTALL)[0] for language in ("python", "toml")
    ]
    (folder / "my_package.py").write_text(blocks[0])
    (folder / "my_clock.py").write_text(CLOCK)
    (folder / "my_broken.py").write_text(BROKEN)
    points = re.sub(r'"(.*)"', r"\1", blocks[1].partition("]\n")[2])
    for name, named in (
        ("my_package", points),
        ("my_clock", "clock = my_clock:Clock"),
        ("my_broken", "broken = my_broken:Policy"),
    ):
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[sureclose.policies]\n{named}\n")
    return folder


async def harvest(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(site)}
    return await asyncio.to_thread(
        subprocess.run,
        [SURECLOSE, "harvest", *arguments],
        env=environment,
        cwd=site,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_policies_are_listed_and_checked_by_their_names(site: Path) -> None:
    listed, ours, example, bad, broken, nobody = await asyncio.gather(
        harvest(site, "policies", "--json"),
        harvest(site, "check", "reference", "--json"),
        harvest(site, "check", "half-at-one-r"),
        harvest(site, "check", "clock", "--json"),
        harvest(site, "check", "broken"),
        harvest(site, "check", "nobody"),
    )
    found = {one["name"]: one for one in json.loads(listed.stdout)["policies"]}
    assert found.keys() >= {"reference", "half-at-one-r", "clock", "broken"}
    assert found["half-at-one-r"]["package"] == "my_package 1.0"

    assert (ours.returncode, json.loads(ours.stdout)) == (
        0,
        {"policy": "reference", "keeps": True, "findings": []},
    )
    assert (example.returncode, example.stderr) == (0, "")
    assert "FAIL" not in example.stdout

    assert bad.returncode == 1
    clauses = {one["clause"]: one["what"] for one in json.loads(bad.stdout)["findings"]}
    assert clauses["pure"] == "it called time.time"
    assert "float" in clauses["answer"]
    assert "do not run it like this" in bad.stderr

    assert broken.returncode == 1
    assert broken.stderr.count("\n") == 1
    assert "No module named 'my_absent_library'" in broken.stderr
    assert nobody.returncode == 2
    assert "installed are: broken, clock, half-at-one-r" in nobody.stderr
