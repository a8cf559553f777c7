"""``sureclose resolve``: settle a parked close."""

import sys

import click
import msgspec

from sureclose.cli import exits
from sureclose.cli.codes import Exit
from sureclose.cli.options import Options
from sureclose.cli.session import actor, opened
from sureclose.domain.ids import plain
from sureclose.domain.settlement import Unsettled
from sureclose.journal.store import Fenced
from sureclose.operate.resolve import NotParked, Parked, look
from sureclose.operate.resolve import resolve as settle
from sureclose.operate.session import Session


@click.command()
@click.argument("plan_id", required=False)
@click.option("--reason", default="", help="Why, for the record.")
@click.option("--yes", is_flag=True, help="Settle without asking.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def resolve(options: Options, plan_id: str | None, reason: str, *, yes: bool, as_json: bool) -> None:
    """Settle the parked close of PLAN_ID by what the venue shows now. Without PLAN_ID: list what is parked.

    Nothing is sent to the venue. What is left of the position is closed with a new `sureclose close`.
    """

    async def command() -> Exit:
        async with opened(options, "resolve", may_start=False) as session:
            if plan_id is None:
                return await _list(session, as_json=as_json)
            try:
                parked = await look(session, plan_id)
            except NotParked as error:
                return exits.fail(Exit.NOT_FOUND, str(error))
            except Unsettled as error:
                return exits.fail(Exit.UNKNOWN, str(error))
            _show(parked)
            if not yes and not _agreed(parked):
                return exits.fail(Exit.ERROR, "nothing was changed; --yes settles it without asking")
            try:
                report = await settle(session, parked, actor=actor(), reason=reason)
            except Fenced:
                return exits.fail(Exit.ERROR, f"plan {plan_id} was settled by somebody else just now")
            if as_json:
                exits.print_json(msgspec.to_builtins(report))
            else:
                click.echo(f"plan {plan_id}: {report.outcome}")
            if parked.found.position.amount:
                symbol = parked.progress.decision.symbol
                click.echo(
                    f"sureclose: the position is still open: `sureclose close {symbol}` closes it", err=True
                )
            return Exit.DONE

    exits.run(command)


async def _list(session: Session, *, as_json: bool) -> Exit:
    plans = await session.journal.parked_plans()
    if as_json:
        exits.print_json({"parked": plans})
    for plan in () if as_json else plans:
        click.echo(plan)
    if not plans:
        click.echo("nothing is parked", err=True)
    return Exit.DONE


def _show(parked: Parked) -> None:
    found, decision = parked.found, parked.progress.decision
    click.echo(f"plan {parked.plan_id}, {decision.symbol}: parked, for {parked.reason}", err=True)
    for sending in parked.progress.attempts:
        own = sending.client_order_id
        order = next((order for order in found.orders if order.client_order_id == own), None)
        seen = (
            "not at the venue" if order is None else f"{order.status}, executed {plain(order.executed_qty)}"
        )
        click.echo(
            f"  attempt {sending.attempt}: {own} {sending.side} {plain(sending.quantity)}: {seen}", err=True
        )
    click.echo(
        f"  its own fills make {plain(found.filled)}, the position is {plain(found.position.amount)}",
        err=True,
    )


def _agreed(parked: Parked) -> bool:
    """A script that forgot --yes must not hang on a question."""
    if not sys.stdin.isatty():
        return False
    return click.confirm(f"Settle it as {parked.outcome}?", err=True)
