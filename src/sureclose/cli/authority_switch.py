"""``sureclose authority switch``: move the grant to the other path."""

import sys

import click

from sureclose.cli import exits
from sureclose.cli.codes import Exit
from sureclose.cli.options import Options
from sureclose.cli.session import actor, opened
from sureclose.domain.authority import CantChange
from sureclose.operate.switching import NobodyThere, NotSwitched, Switched
from sureclose.operate.switching import switch as move
from sureclose.services.settings import Path


@click.command()
@click.argument("path", type=click.Choice([str(path) for path in Path]))
@click.option("--yes", is_flag=True, help="Move the grant without asking.")
@click.option(
    "--timeout", type=click.FloatRange(min=1), default=30.0, show_default=True, help="Seconds to wait."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def switch(options: Options, path: str, *, yes: bool, timeout: float, as_json: bool) -> None:
    """Move the grant to PATH 1A or 1B, while closes go on. The other path observes from then on.

    The executor that leads takes in nothing more, finishes what it has under way, and gives up its lease with the grant; the
    next takes over what is open. A freeze stays. Within --timeout or not at all: else the switch is withdrawn, exit 5.
    """

    async def command() -> Exit:
        async with opened(options, "authority", may_start=False) as session:
            wanted = Path(path)
            if not yes and not _agreed(wanted):
                return exits.fail(Exit.ERROR, "nothing was changed")
            try:
                switched = await move(session, wanted, actor=actor(), timeout_s=timeout, progress=_progress)
            except CantChange as error:
                return exits.fail(Exit.NOT_AUTHORISED, str(error))
            except NobodyThere as error:
                return exits.fail(Exit.NOT_RUNNING, str(error))
            except NotSwitched as error:
                return exits.fail(Exit.TIMEOUT, str(error))
            if as_json:
                exits.print_json(switched)
            else:
                _show(switched)
            return Exit.DONE

    exits.run(command)


def _agreed(path: Path) -> bool:
    """Who types is asked, a script is not: a switch moves a right that is there, and goes back the same way."""
    if not sys.stdin.isatty():
        return True
    return click.confirm(f"Move the grant to PATH {path} ({path.component})?", err=True)


def _progress(what: str) -> None:
    click.echo(f"switch: {what}", err=True)


def _show(switched: Switched) -> None:
    if not switched.moved:
        click.echo(f"{switched.component} holds the grant already: nothing was changed")
        return
    click.echo(
        f"{switched.component} holds the grant (revision {switched.revision}) and executes as {switched.worker}, "
        f"epoch {switched.epoch}, {switched.led_at - switched.granted_at} ms after the grant moved"
    )
    if switched.frozen:
        click.echo("the account is still frozen: machine closes end as SKIPPED(frozen)", err=True)
    click.echo(
        f'next: set execution.path = "{switched.path}" everywhere, then `sureclose prove` and '
        f"`sureclose audit --component {switched.component}`",
        err=True,
    )
