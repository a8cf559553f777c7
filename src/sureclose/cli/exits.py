"""The one place where an error becomes an exit code and a line that says what to do."""

import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import click
import msgspec
import uvloop
from redis.exceptions import RedisError
from rich.console import Console

from sureclose.cli.codes import Exit
from sureclose.config import ConfigError
from sureclose.operate.asking import NoExecutor
from sureclose.operate.host import HostFailed, NotRunning
from sureclose.services.environment import EnvironmentTaken
from sureclose.services.harvest.policies import PolicyProblem
from sureclose.services.http import HttpProblem
from sureclose.streams.errors import LogAddressInvalid, LogProblem
from sureclose.venue.errors import VenueError

_UNBROKEN = 1_000


def run(command: Callable[[], Coroutine[Any, Any, Exit]]) -> None:
    """Run a command to its exit code; errors that we know become one line on standard error."""
    try:
        code = uvloop.run(command())
    except KeyboardInterrupt:
        code = fail(Exit.ERROR, "interrupted; what was published goes on: `sureclose trace PLAN_ID` tells")
    except (ConfigError, PolicyProblem) as error:
        code = fail(Exit.CONFIG, str(error))
    except (NotRunning, NoExecutor) as error:
        code = fail(Exit.NOT_RUNNING, str(error) or (type(error).__doc__ or ""))
    except (LogAddressInvalid, EnvironmentTaken) as error:
        code = fail(Exit.CONFIG, str(error))
    except (HostFailed, HttpProblem, LogProblem) as error:
        code = fail(Exit.ERROR, str(error))
    except VenueError as error:
        remedy = f" ({error.remedy})" if error.remedy else ""
        code = fail(Exit.ERROR, f"the venue: {error}{remedy}")
    except RedisError as error:
        code = fail(Exit.ERROR, f"the log: {error}; check redis.url and that the server answers")
    sys.exit(code)


def fail(code: Exit, message: str) -> Exit:
    """Say what is wrong on standard error."""
    click.echo(f"sureclose: {' '.join(message.split())}", err=True)
    return code


def print_json(value: object) -> None:
    """One JSON document on standard output, decimals as strings."""
    click.echo(json.dumps(msgspec.to_builtins(value), indent=2))


def console(*, err: bool = False) -> Console:
    """As wide as the terminal; in a file or a pipe no line is broken, so that ids can be found there."""
    out = sys.stderr if err else sys.stdout
    return Console(stderr=err, width=None if out.isatty() else _UNBROKEN)


def plain(text: str) -> str:
    """A foreign text in a table, where brackets would be markup."""
    return text.replace("[", "\\[")
