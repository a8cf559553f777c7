"""``sureclose panic``, and the whole of ``sureclose close --all``."""

from collections.abc import Sequence

import click
from rich.table import Table

from sureclose.cli import exits
from sureclose.cli.codes import Exit
from sureclose.cli.options import Options
from sureclose.cli.session import actor, opened
from sureclose.domain.market import Position
from sureclose.operate.closing_all import PANIC, Ended, State, Wish, close_all
from sureclose.operate.session import Session

_COLOURS = {State.FLAT: "green", State.REDUCED: "green", State.OPEN: "bold red", State.UNKNOWN: "bold red"}


@click.command()
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=60.0,
    show_default=True,
    help="Seconds to follow them.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def panic(options: Options, *, timeout: float, as_json: bool) -> None:
    """Close every open position of the account now, each by your own warrant, and tell what is flat and what is not.

    It asks nothing and works under freeze: it is a person's act. It needs an executor, as every close does. Exit codes: 0 all
    flat, 1 something is open, 5 a close has no outcome yet, 6 what is left is not known.
    """

    async def command() -> Exit:
        async with opened(options, "panic", may_start=False) as session:
            held = await session.venue.positions()
            wish = Wish(actor=actor(), reason="sureclose panic", action=PANIC, everything=True)
            return await close_and_tell(session, held, wish, timeout, as_json=as_json)

    exits.run(command)


async def close_and_tell(
    session: Session, held: Sequence[Position], wish: Wish, seconds: float, *, as_json: bool
) -> Exit:
    """Ask for all of them, follow them, and tell how each stands."""
    ended = await close_all(session, held, wish, seconds=seconds, said=_progress) if held else ()
    if as_json:
        exits.print_json({"closes": ended, "all_flat": all(one.state is State.FLAT for one in ended)})
    else:
        _show(ended)
    return _code(ended)


def _progress(what: str) -> None:
    click.echo(f"closing: {what}", err=True)


def _show(ended: Sequence[Ended]) -> None:
    if not ended:
        click.echo("nothing is open")
        return
    table = Table("symbol", "side", "was", "is", "left", "outcome", "plan")
    for one in ended:
        colour = _COLOURS.get(one.state, "yellow")
        outcome = f"{one.outcome} ({one.reason})" if one.reason else one.outcome
        table.add_row(
            one.symbol,
            one.position_side,
            one.amount,
            f"[{colour}]{one.state}[/]",
            one.left or "unknown",
            outcome,
            one.plan_id,
        )
    exits.console().print(table)


def _code(ended: Sequence[Ended]) -> Exit:
    states = {one.state for one in ended}
    if State.UNKNOWN in states:
        return Exit.UNKNOWN
    if State.WAITING in states:
        return Exit.TIMEOUT
    return Exit.ERROR if State.OPEN in states else Exit.DONE
