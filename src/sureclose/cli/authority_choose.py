"""``sureclose authority choose``: which path, and how to get there."""

import os
from pathlib import Path as File
from typing import Any

import click
import msgspec
from rich.table import Table

from sureclose import config as configuration
from sureclose.cli import exits
from sureclose.cli.codes import Exit
from sureclose.cli.options import Options
from sureclose.cli.session import load, opened
from sureclose.operate.choosing import Choice, GroupState, Option, Step
from sureclose.operate.choosing import choose as look
from sureclose.operate.toml_change import difference, with_key
from sureclose.services.settings import Path
from sureclose.streams.address import EMBEDDED

_VARIABLE = f"{configuration.ENVIRONMENT_PREFIX}EXECUTION__PATH"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What of the configuration in effect has to change; the variable wins over the file where it is set."""

    file: str
    diff: str
    variable: str = ""


@click.command()
@click.argument("path", type=click.Choice([str(path) for path in Path]))
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def choose(options: Options, path: str, *, as_json: bool) -> None:
    """Both paths as they are here, and what to do to execute on PATH: change, deployment, verification, audit.

    Changes nothing.
    """

    async def command() -> Exit:
        config = load(options)
        wanted = Path(path)
        async with opened(options, "authority", may_start=True) as session:
            choice = await look(session, wanted, own_log=config.redis.url == EMBEDDED)
        change = _change(options, wanted)
        if as_json:
            exits.print_json({**msgspec.to_builtins(choice), "configuration": msgspec.to_builtins(change)})
        else:
            _show(choice, change)
        return Exit.DONE

    exits.run(command)


def _change(options: Options, path: Path) -> Change:
    source = configuration.source(options.files, "execution", "path")
    variable = f"{_VARIABLE}={path}" if source == _VARIABLE and os.environ[_VARIABLE] != path else ""
    named = [*options.files] or [File(configuration.DEFAULT_FILE)]
    written = [file for file in named if str(file) == source]
    file = (written or named)[-1]
    before = file.read_text() if file.is_file() else ""
    return Change(
        file=str(file),
        diff=difference(file, before, with_key(before, "execution", "path", path)),
        variable=variable,
    )


def _show(choice: Choice, change: Change) -> None:
    console = exits.console()
    holder = choice.grant.get("component", "nobody")
    frozen = f", frozen ({choice.freeze.get('reason')})" if choice.freeze else ""
    console.print(
        f"{holder} holds the grant{frozen}; the lease: {choice.lease or 'nobody'}",
        highlight=False,
        markup=False,
    )
    for option in choice.options:
        console.print(_table(option, chosen=option.path is choice.path))
    _steps("first", choice.before)
    click.echo("\nthe configuration\n")
    if change.variable:
        click.echo(f"  {change.variable}    in the environment of every process, where it is set now")
    click.echo(change.diff or f'  {change.file} says execution.path = "{choice.path}" already')
    _steps("deployment", choice.deployment)
    _steps("the switch", choice.switch)
    _steps("verification", choice.verification)
    _steps("the audit to run afterwards", choice.audit)


def _table(option: Option, *, chosen: bool) -> Table:
    marks = [
        word
        for word, so in (
            ("chosen", chosen),
            ("configured", option.configured),
            ("holds the grant", option.holds_grant),
            ("alive", option.alive),
            ("; ".join(option.missing), not option.alive),
        )
        if so
    ]
    table = Table(
        title=f"PATH {option.path}, {option.component} ({', '.join(option.roles)}): {', '.join(marks)}",
        title_justify="left",
    )
    for column in ("stream", "group", "readable", "lost", "pending", "last delivery", "live", "not ours"):
        table.add_column(column, overflow="fold")
    for group in option.groups:
        table.add_row(group.stream, group.group, *_cells(group))
    return table


def _cells(group: GroupState) -> list[str]:
    if not group.exists:
        return ["no such group", "", "", "", "", ""]
    numbers: list[Any] = [group.readable, group.lost, group.pending]
    return [
        *("unknown" if number is None else str(number) for number in numbers),
        group.last_delivery or "never",
        ", ".join(group.live) or "nobody",
        ", ".join(group.foreign),
    ]


def _steps(title: str, steps: tuple[Step, ...]) -> None:
    if not steps:
        return
    click.echo(f"\n{title}\n")
    for number, step in enumerate(steps, 1):
        click.echo(f"  {number}. {step.do}\n       {step.expect}")
