"""Starts ``sureclose`` by a fork of a process that has it imported: the same program, without the second that imports take.

The tests start hundreds of processes, a matrix thousands. Each is a session of its own that is really killed; only its
imports are shared. That the program starts as a shell starts it is shown by those that say ``popen``.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import click

_BORN_S: Final = 30.0
_POLL_S: Final = 0.002


class Born:
    """One of its children, as ``subprocess.Popen`` would have it; how it ended is told by a file."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = folder / str(pid)

    def poll(self) -> int | None:
        if self.returncode is None:
            with contextlib.suppress(FileNotFoundError, ValueError):
                self.returncode = int(self._ended.read_text())
        return self.returncode

    def wait(self) -> int:
        while (code := self.poll()) is None:
            time.sleep(_POLL_S)
        return code


class Nursery:
    """The process that forks. Leaving the block kills whatever it has started."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.nursery", str(self._folder)],
            cwd=Path(__file__).parents[1],
            env={name: value for name, value in os.environ.items() if not name.startswith("SURECLOSE")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, asked, told = self._pipes()
        asked.close()
        process.wait()
        told.close()

    def begin(self, arguments: list[str], env: dict[str, str], folder: Path, output: Path) -> Born:
        """Start one; returns when it is there."""
        _, asked, told = self._pipes()
        for path in (output, output.with_suffix(".err")):
            path.touch()
        asked.write(json.dumps([arguments, env, str(folder), str(output)]).encode() + b"\n")
        asked.flush()
        ready, _, _ = select.select([told], [], [], _BORN_S)
        assert ready, "the nursery doesn't answer"
        return Born(int(told.readline()), self._folder)

    def _pipes(self) -> tuple[subprocess.Popen[bytes], IO[bytes], IO[bytes]]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        return process, process.stdin, process.stdout


# The other side -----------------------------------------------------------------------------------------------------


def main(folder: Path) -> None:
    """Fork one for each line of standard input, which answers with its process id; at the end of the input kill them all."""
    import gc

    from sureclose.cli import main as command_line

    for name in command_line.main.list_commands(click.Context(command_line.main)):
        command_line.main.get_command(click.Context(command_line.main), name)

    gc.collect()
    gc.freeze()
    living: set[int] = set()
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    asked = b""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _bury(living, folder, os.WNOHANG)
        if 0 not in ready:
            continue
        read = os.read(0, 65536)
        if not read:
            break
        *lines, asked = (asked + read).split(b"\n")
        for line in lines:
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                (folder / str(os.getpid())).unlink(missing_ok=True)  # of one that had this number before
                _live(*json.loads(line))
            living.add(pid)
    for pid in living:
        os.killpg(pid, signal.SIGKILL)
    _bury(living, folder, 0)


def _bury(living: set[int], folder: Path, options: int) -> None:
    """Say how each ended that has."""
    for pid in tuple(living):
        found, status = os.waitpid(pid, options)
        if found:
            living.discard(pid)
            (folder / f"{pid}.new").write_text(str(os.waitstatus_to_exitcode(status)))
            (folder / f"{pid}.new").rename(folder / str(pid))


def _live(arguments: list[str], env: dict[str, str], folder: str, output: str) -> None:
    """Be ``sureclose`` with these arguments, and end as it ends."""
    from sureclose import fault_points
    from sureclose.cli import main as command_line

    code = 1
    try:
        os.setsid()
        os.write(1, f"{os.getpid()}\n".encode())  # not before it can be killed with its group
        os.chdir(folder)
        for number, path in ((1, output), (2, str(Path(output).with_suffix(".err")))):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.clear()
        os.environ.update(env)
        fault_points.arm(os.environ)
        command_line.main.main(args=arguments, prog_name="sureclose")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - as the interpreter would end
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
