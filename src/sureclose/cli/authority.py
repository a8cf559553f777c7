"""``sureclose authority``: who may execute machine closes, and how that changes."""

from typing import Final

import click

from sureclose.cli.lazy import Lazy

_COMMANDS: Final = {
    "show": "sureclose.cli.authority_show:show",
    "grant": "sureclose.cli.authority_grant:grant",
    "demote": "sureclose.cli.authority_grant:demote",
    "choose": "sureclose.cli.authority_choose:choose",
    "switch": "sureclose.cli.authority_switch:switch",
}


@click.group(cls=Lazy, places=_COMMANDS)
def authority() -> None:
    """Who may execute machine closes, and how that changes."""
