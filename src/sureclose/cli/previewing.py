"""What a close would come to, told to a person or a machine, and the question whether it is meant."""

import sys

import click
from rich.table import Table

from sureclose.cli import exits
from sureclose.cli.codes import Exit
from sureclose.domain.preview import Obstacle, Preview
from sureclose.operate.preview import Shown
from sureclose.operate.remedies import REMEDIES


def tell(shown: Shown, *, as_json: bool) -> Exit:
    """The preview as the command's own result. 0 is: it can be closed, or there is nothing to close."""
    if as_json:
        exits.print_json(shown)
    else:
        show_table(shown, err=False)
    fine = all(one.obstacle in {None, Obstacle.ALREADY_FLAT} for one in shown.closes)
    return Exit.DONE if fine else Exit.ERROR


def has_terminal() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty()


def agreed(question: str) -> bool:
    """Asked on standard error, so that what is on standard output stays one document."""
    return click.confirm(question, err=True)


def show_table(shown: Shown, *, err: bool = True) -> None:
    """For people: a row for each position, and whose right the orders would go on."""
    console = exits.console(err=err)
    table = Table(
        "symbol",
        "side",
        "position",
        "order",
        "leaves",
        "mark price",
        "worth",
        title="to be closed",
        title_justify="left",
    )
    for one in shown.closes:
        table.add_row(*_row(one))
    console.print(table)
    for line in _lines(shown):
        console.print(line, markup=False, highlight=False)


def _row(one: Preview) -> tuple[str, ...]:
    known = one.obstacle is not Obstacle.UNKNOWN_SYMBOL
    place = exits.plain(one.symbol), str(one.position_side), f"{one.position:f}" if known else ""
    if one.obstacle is not None:
        return (
            *place,
            f"[yellow]none: {REMEDIES[one.obstacle]}[/]",
            f"{one.left:f}" if known else "",
            "",
            "",
        )
    several = f" in {one.orders} orders" if one.orders > 1 else ""
    order = f"{one.side} {one.quantity:f}{several}"
    return *place, order, f"{one.left:f}", f"{one.mark_price.normalize():f}", f"{one.value:,.2f}"


def _lines(shown: Shown) -> list[str]:
    lines = [
        f"by the warrant of {shown.actor}, good for {shown.valid_s} s, which a freeze does not stop",
        f"grant: {shown.granted_to or 'nobody'}",
        *(f"frozen: {cause}" for cause in shown.frozen),
    ]
    if not shown.executed_by:
        lines.append("nobody executes closes now: start `sureclose run`")
    return lines
