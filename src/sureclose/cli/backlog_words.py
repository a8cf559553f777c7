"""What the commands of ``sureclose backlog`` say alike."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import click
from rich.table import Table

from sureclose.cli import exits
from sureclose.cli.codes import Exit
from sureclose.domain.times import iso_ms
from sureclose.operate.backlog import NoGroup, SeveralGroups, Where, find
from sureclose.operate.backlog_plan import Plan
from sureclose.operate.session import Session
from sureclose.streams.holders import Holder
from sureclose.streams.triage import Kept
from sureclose.streams.zombies import REAP_IDLE_MS

_Command = TypeVar("_Command", bound=Callable[..., Any])
_SHOWN: Final = 50
"""Of what is listed in a table; ``--json`` has more."""


def of_group(command: _Command) -> _Command:
    """The options that say which group, and who in it counts as dead."""
    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output."),
        click.option(
            "--silent",
            "silence_s",
            type=click.IntRange(0),
            default=REAP_IDLE_MS // 1000,
            show_default=True,
            metavar="SECONDS",
            help="How long a consumer without a leased name must have been silent to count as dead.",
        ),
        click.option(
            "--stream", default="", help="On which stream, where several have a group of that name."
        ),
    ):
        command = decorate(command)
    return command


async def with_group(
    session: Session, group: str, stream: str, silence_s: int, do: Callable[[Where], Awaitable[Exit]]
) -> Exit:
    """Find the group and go on, or say which there are."""
    try:
        where = await find(session, group, stream, silence_s * 1000)
    except NoGroup as error:
        return exits.fail(Exit.NOT_FOUND, str(error))
    except SeveralGroups as error:
        return exits.fail(Exit.CONFIG, str(error))
    return await do(where)


def show_plan(plan: Plan, *, err: bool = False) -> None:
    """For a person."""
    echo = _echo(err=err)
    written = "never" if plan.delivered_at is None else iso_ms(plan.delivered_at)
    echo(f"group {plan.group} on {plan.stream}")
    echo(f"last delivered: an entry of {written}, {plan.delivered_id}")
    echo(
        f"readable {_number(plan.readable)}, lost {lost_words(plan.lost, plan.lost_after, plan.lost_before)}"
    )
    table = Table(box=None, pad_edge=False)
    for column in ("", "unread", "pending"):
        table.add_column(column, justify="right" if column else "left")
    parts = plan.unread, plan.pending
    table.add_row("entries", *(f"{part.entries:,}" for part in parts))
    table.add_row("oldest", *(_moment(part.oldest) for part in parts))
    table.add_row("newest", *(_moment(part.newest) for part in parts))
    for title, of in (("age", "ages"), ("class", "classes"), ("decision", "words"), ("ends as", "reasons")):
        found: list[Mapping[str, int]] = [getattr(part, of) for part in parts]
        for name in dict.fromkeys([*found[0], *found[1]]):
            counts = (f"{one[name]:,}" if name in one else "" for one in found)
            table.add_row(f"{title}: {name or 'none'}", *counts)
    console = exits.console(err=err)
    console.print(table)
    show_consumers(plan.consumers, err=err)
    show_kept(plan.kept, plan.kept_count, err=err)
    living = [one.name for one in plan.consumers if one.lives]
    if living:
        echo(
            f"{', '.join(living)} reads this group now; a drain may run beside, and touches nothing it holds"
        )


def show_consumers(consumers: Sequence[Holder], *, err: bool = False) -> None:
    if not consumers:
        return
    table = Table(box=None, pad_edge=False)
    for column in ("consumer", "", "pending", "silent, s"):
        table.add_column(column, justify="right" if column in {"pending", "silent, s"} else "left")
    for one in consumers:
        table.add_row(
            exits.plain(one.name),
            "lives" if one.lives else "dead",
            f"{one.pending:,}",
            f"{one.idle_ms // 1000:,}",
        )
    exits.console(err=err).print(table)


def show_kept(kept: Sequence[Kept], count: int, *, err: bool = False) -> None:
    """What is left to the executor."""
    echo = _echo(err=err)
    if not count:
        echo("nothing here could still be executed: nothing would be sent")
        return
    echo(
        f"{count:,} could still be executed; they stay pending, and the executor that reads this group claims them"
    )
    table = Table(box=None, pad_edge=False)
    for column in ("entry", "plan", "symbol", "action", "age, s", "until", "close"):
        table.add_column(column, overflow="fold")
    for one in kept[:_SHOWN]:
        cells = (one.entry_id, one.plan_id, one.symbol, one.action, f"{one.age / 1000:.1f}")
        table.add_row(*map(exits.plain, cells), iso_ms(one.expires_at), one.state or "none")
    exits.console(err=err).print(table)
    if count > _SHOWN:
        echo(f"and {count - _SHOWN:,} more")


def lost_words(count: int | None, after: str, before: str | None) -> str:
    """How many were trimmed unread, and where."""
    if count == 0:
        return "0"
    upto = "the end" if before is None else before
    return f"{_number(count)} (trimmed unread, between {after} and {upto})"


def _moment(at: int | None) -> str:
    return "" if at is None else iso_ms(at)


def _number(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _echo(*, err: bool) -> Callable[[str], None]:
    return lambda text: click.echo(text, err=err)
