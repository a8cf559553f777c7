"""``sureclose reconcile``: what the log lacks of the venue's orders."""

import click
from rich.table import Table

from sureclose.cli import exits
from sureclose.cli.codes import Exit
from sureclose.cli.options import Options
from sureclose.cli.session import opened
from sureclose.domain.times import iso_ms
from sureclose.operate.reconcile import Standing, look


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def reconcile(options: Options, *, as_json: bool) -> None:
    """Compare the log with the venue: is it the log that is known here, and are all orders of ours in it?

    Changes nothing: the executor reconciles by itself, before it sends. Exit 1 when an order of ours is missing in the
    journal, 7 when the account is frozen.
    """

    async def command() -> Exit:
        async with opened(options, "reconcile", may_start=False) as session:
            found = await look(session)
        if as_json:
            exits.print_json(found)
        else:
            _show(found)
        if found.missing or not found.same:
            return Exit.ERROR
        return Exit.NOT_AUTHORISED if found.frozen else Exit.DONE

    exits.run(command)


def _show(found: Standing) -> None:
    if found.same:
        click.echo(f"the log is {found.log_id or 'new'}, with {found.written} writes")
    else:
        click.echo(
            f"the log is {found.log_id or 'nobody'} with {found.written} writes; "
            f"{found.known_id} with {found.known_written} is known here: the executor reconciles before it sends"
        )
    if found.last is not None:
        last = found.last
        click.echo(
            f"last reconciled {iso_ms(last.at)}: {last.trigger}; {last.orders} orders in {len(last.symbols)} symbols, "
            f"{len(last.orphans)} of them were missing"
        )
    if found.frozen:
        click.echo(f"frozen: {found.frozen}")
    click.echo(
        f"{found.orders} orders of ours since {iso_ms(found.since)}, {len(found.missing)} missing here"
    )
    if not found.missing:
        return
    table = Table(box=None, pad_edge=False)
    for column in ("order", "plan", "symbol", "side", "status", "quantity", "executed"):
        table.add_column(column, overflow="fold")
    for order in found.missing:
        table.add_row(
            order.client_order_id,
            order.plan_id or "not known",
            order.symbol,
            order.side,
            order.status,
            order.quantity,
            order.executed_qty,
        )
    exits.console().print(table)
