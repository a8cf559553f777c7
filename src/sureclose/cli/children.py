"""An executor process of our own, for what has to be shown by killing one."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from sureclose.cli.options import Options
from sureclose.operate.executor import ChildExecutor
from sureclose.services.settings import Role


def child_executor(options: Options, roles: Iterable[Role], logfile: Path) -> ChildExecutor:
    """``sureclose run`` with our configuration; it ends with us, for it would take our place as the host."""
    files = [part for file in options.files for part in ("-c", str(file))]
    command = [sys.executable, "-m", "sureclose", *files, "run", "--roles", ",".join(roles)]
    command += ["--parent-death", str(os.getpid())]
    return ChildExecutor(command, {"SURECLOSE__HTTP__PORT": "0"}, logfile)
