"""``sureclose backlog plan``: what is there, without touching it."""

import click

from sureclose.cli import exits
from sureclose.cli.backlog_words import of_group, show_plan, with_group
from sureclose.cli.codes import Exit
from sureclose.cli.following import following
from sureclose.cli.options import Options
from sureclose.cli.session import opened
from sureclose.operate.backlog import Where
from sureclose.operate.backlog_plan import plan as look


@click.command()
@click.argument("group")
@of_group
@click.pass_obj
def plan(options: Options, group: str, stream: str, silence_s: int, *, as_json: bool) -> None:
    """What GROUP was not given yet and what it owes: ages, classes, what was lost, what could still be executed.

    Delivers nothing and changes nothing.
    """

    async def command() -> Exit:
        async with opened(options, "backlog", may_start=True) as session:

            async def do(where: Where) -> Exit:
                total = where.unread.readable
                with following("read", None if total is None else total + where.group.pending) as said:
                    found = await look(session, where, said)
                if as_json:
                    exits.print_json(found)
                else:
                    show_plan(found)
                return Exit.DONE

            return await with_group(session, group, stream, silence_s, do)

    exits.run(command)
