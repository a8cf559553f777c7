"""``sureclose harvest status``: what harvest sees of each position, and what it would do."""

import click
from rich.table import Table

from sureclose.cli import exits
from sureclose.cli.codes import Exit
from sureclose.cli.options import Options
from sureclose.cli.session import opened
from sureclose.domain.harvest.wishes import Wish
from sureclose.operate import harvest_status as operate
from sureclose.operate.harvest_status import HarvestStatus


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def status(options: Options, *, as_json: bool) -> None:
    """Show what it sees of each open position, what it would do, what it asked for, and what is wrong.

    Exit code 3 when no process of it speaks.
    """

    async def command() -> Exit:
        async with opened(options, "harvest", may_start=False) as session:
            found = await operate.status(session)
        if as_json:
            exits.print_json(found)
        else:
            _say(found)
        if not found.alive:
            return exits.fail(Exit.NOT_RUNNING, "nobody decides: no process of harvest speaks")
        return Exit.DONE

    exits.run(command)


def _say(found: HarvestStatus) -> None:
    watching = f", shadow {', '.join(found.shadow)}" if found.shadow else ""
    if found.age_s is None:
        click.echo("no harvest has ever said anything here: start `sureclose run --roles harvest`")
    else:
        word = "alive" if found.alive else "NOT THERE (start `sureclose run --roles harvest`)"
        click.echo(f"harvest {found.worker}: {word}, last heard {found.age_s:.1f} s ago")
        click.echo(f"policy {found.policy}{watching}")
        if found.blind:
            click.echo(f"BLIND: {found.blind}")
        elif not found.positions:
            click.echo("no open position")
        else:
            exits.console().print(_table(found))
    for one in found.over:
        click.echo(f"closed: {one.symbol} {one.position_side}, {one.rung} rungs taken; {_wished(one.wish)}")
    for condition in found.conditions:
        click.echo(f"{condition.kind} {condition.subject} since {condition.since}: {condition.what}")
        click.echo(f"  {condition.remedy}")


def _table(found: HarvestStatus) -> Table:
    title = None if found.alive else f"as of {found.age_s:.0f} s ago, not now"
    table = Table(
        "symbol", "side", "amount", "R", "K", "breakdown", "rung", "says", "why", "last wish", title=title
    )
    for one in found.positions:
        terms = (f"{name[2:]} {value}" for name, value in one.scores.items() if name.startswith("k_"))
        table.add_row(
            one.symbol,
            one.position_side,
            one.amount,
            one.scores.get("R_net", "?"),
            one.scores.get("kill_score", "?"),
            ", ".join(terms),
            str(one.rung),
            str(one.answer),
            exits.plain(one.reason),
            exits.plain(_wished(one.wish)),
        )
    return table


def _wished(wish: Wish | None) -> str:
    if wish is None:
        return "nothing was asked for"
    number = "" if wish.number == 1 else f" (try {wish.number})"
    outcome = f" {wish.outcome}" if wish.outcome else ""
    return f"{wish.name}{number}: {wish.fate}{outcome}, `sureclose trace {wish.plan_id}`"
