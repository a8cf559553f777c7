"""``sureclose harvest``: the deciding side."""

from typing import Final

import click

from sureclose.cli.lazy import Lazy

_COMMANDS: Final[dict[str, str]] = {
    "status": "sureclose.cli.harvest_shown:status",
    "policies": "sureclose.cli.harvest_policies:policies",
    "check": "sureclose.cli.harvest_policies:check",
}


@click.group(cls=Lazy, places=_COMMANDS)
def harvest() -> None:
    """Who decides to close. None of these commands publishes anything."""
