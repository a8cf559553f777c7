"""``sureclose backlog reap``: dead consumers that hold nothing leave their groups."""

from collections.abc import Sequence

import click
from rich.table import Table

from sureclose.cli import exits
from sureclose.cli.codes import Exit
from sureclose.cli.options import Options
from sureclose.cli.session import opened
from sureclose.operate.backlog import NoGroup
from sureclose.operate.backlog_reap import Reaped, reap_groups
from sureclose.streams.zombies import REAP_IDLE_MS


@click.command()
@click.argument("group", default="")
@click.option(
    "--silent",
    "silence_s",
    type=click.IntRange(0),
    default=REAP_IDLE_MS // 1000,
    show_default=True,
    metavar="SECONDS",
    help="How long a consumer must have been silent to count as dead.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def reap(options: Options, group: str, silence_s: int, *, as_json: bool) -> None:
    """Take dead consumers that hold nothing out of GROUP, or out of every group of ours.

    Who holds entries stays, and is listed: deleting him would lose them.
    """

    async def command() -> Exit:
        async with opened(options, "backlog", may_start=True) as session:
            try:
                found = await reap_groups(session, group, silence_s * 1000)
            except NoGroup as error:
                return exits.fail(Exit.NOT_FOUND, str(error))
        if as_json:
            exits.print_json({"groups": found})
        else:
            _show(found)
        return Exit.DONE

    exits.run(command)


def _show(found: Sequence[Reaped]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("group", "stream", "reaped", "alive", "dead, holding"):
        table.add_column(column, overflow="fold")
    for one in found:
        table.add_row(
            exits.plain(one.group),
            exits.plain(one.stream),
            exits.plain(", ".join(one.reaped)) or "none",
            str(len(one.living)),
            exits.plain(", ".join(f"{holder.name} ({holder.pending})" for holder in one.holding)) or "none",
        )
    exits.console().print(table)
    for one in found:
        if one.holding:
            click.echo(
                f"{one.group}: what the dead hold is claimed by the group's reader when it runs, or ended by "
                f"`sureclose backlog drain {one.group}`; reap again afterwards"
            )
