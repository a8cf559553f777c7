"""``sureclose backlog``: a consumer group that nobody reads any more, and how it comes back to life."""

from typing import Final

import click

from sureclose.cli.lazy import Lazy

_COMMANDS: Final[dict[str, str]] = {
    "plan": "sureclose.cli.backlog_plan:plan",
    "drain": "sureclose.cli.backlog_drain:drain",
    "reap": "sureclose.cli.backlog_reap:reap",
}


@click.group(cls=Lazy, places=_COMMANDS)
def backlog() -> None:
    """What a consumer group was not given yet, and how it is revived. None of these commands sends an order."""
