"""``sureclose backlog drain``: stale entries end SKIPPED, recorded one by one; what may be executed is left."""

import asyncio
import secrets
import signal
import sys

import click

from sureclose.cli import exits
from sureclose.cli.backlog_words import lost_words, of_group, show_kept, show_plan, with_group
from sureclose.cli.codes import Exit
from sureclose.cli.following import following
from sureclose.cli.options import Options
from sureclose.cli.session import actor, opened
from sureclose.operate.backlog import Where
from sureclose.operate.backlog_drain import Result, SlotLost
from sureclose.operate.backlog_drain import drain as do_drain
from sureclose.operate.backlog_plan import plan
from sureclose.operate.session import Session
from sureclose.streams.slots import NoSlotFree


@click.command()
@click.argument("group")
@of_group
@click.option("--yes", is_flag=True, help="Drain without asking.")
@click.pass_obj
def drain(options: Options, group: str, stream: str, silence_s: int, *, yes: bool, as_json: bool) -> None:
    """End what is stale in GROUP as SKIPPED, each entry with its reason on record; `sureclose trace` finds it.

    Nothing is sent. What could still be executed stays pending and is listed. Interrupted, it goes on where it was
    when it is run again. An executor may go on reading the group meanwhile.
    """

    async def command() -> Exit:
        async with opened(options, "backlog", may_start=True) as session:

            async def do(where: Where) -> Exit:
                return await _drain(session, where, as_json=as_json)

            async def ask(where: Where) -> Exit:
                if not await _agreed(session, where):
                    return exits.fail(
                        Exit.ERROR,
                        "nothing was changed; --yes drains without asking, `backlog plan` only looks",
                    )
                # Looked at again, for a person may think for long.
                return await with_group(session, group, stream, silence_s, do)

            return await with_group(session, group, stream, silence_s, do if yes else ask)

    exits.run(command)


async def _agreed(session: Session, where: Where) -> bool:
    """A script that forgot --yes must not hang on a question."""
    show_plan(await plan(session, where, lambda _: None), err=True)
    if not sys.stdin.isatty():
        return False
    return click.confirm("End what is stale as SKIPPED?", err=True)


async def _drain(session: Session, where: Where, *, as_json: bool) -> Exit:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    total = where.unread.readable
    try:
        with following("drained", None if total is None else total + where.group.pending) as said:
            result = await do_drain(
                session, where, drain_id=secrets.token_hex(8), actor=actor(), said=said, stop=stop
            )
    except (SlotLost, NoSlotFree) as error:
        return exits.fail(Exit.ERROR, str(error))
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    if as_json:
        exits.print_json(result)
    else:
        _show(result)
    if not result.finished:
        return exits.fail(Exit.ERROR, "interrupted; run it again, and it goes on where it was")
    return Exit.DONE


def _show(result: Result) -> None:
    click.echo(
        f"drain {result.drain}: {result.skipped:,} entries of {result.group} on {result.stream} ended SKIPPED, "
        f"in {result.seconds:.1f} s; none was sent"
    )
    for reason, count in result.reasons.items():
        click.echo(f"  {reason}: {count:,}")
    lost = result.lost
    click.echo(f"lost before it: {lost_words(lost.count, lost.after, lost.before)}")
    if result.dead_letters:
        click.echo(f"dead letters: {result.dead_letters:,}")
    if result.elsewhere:
        click.echo(f"finished or taken over by others meanwhile: {result.elsewhere:,}")
    if result.held:
        held = ", ".join(f"{name} {count:,}" for name, count in result.held.items())
        click.echo(f"in the hands of others, and not touched: {held}")
    show_kept(result.kept, result.kept_count)
