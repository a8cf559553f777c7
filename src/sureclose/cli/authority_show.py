"""``sureclose authority show``."""

import asyncio
from pathlib import Path

import click
from rich.table import Table

from sureclose.cli import exits
from sureclose.cli.codes import Exit
from sureclose.cli.options import Options
from sureclose.cli.session import opened
from sureclose.domain.authority import Level
from sureclose.domain.times import iso_ms
from sureclose.operate.authority_document import render_map
from sureclose.operate.authority_map import Map, Row, authority_map

_TITLES = {Level.CONTROLLER: "controllers", Level.OBSERVER: "observers", Level.DEAD: "dead"}
_COLOURS = {Level.CONTROLLER: "green", Level.OBSERVER: "default", Level.DEAD: "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.option(
    "--markdown",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the PnL authority map document as well.",
)
@click.pass_obj
def show(options: Options, *, as_json: bool, markdown: Path | None) -> None:
    """Who is in control, who observes and who is dead, judged by what each does, with evidence and its age.

    Changes nothing. Exit 0 with exactly one controller and no freeze, 7 when the account is frozen or nobody is in control.
    """

    async def command() -> Exit:
        async with opened(options, "authority", may_start=False) as session:
            found = await authority_map(session)
        if markdown is not None:
            await asyncio.to_thread(markdown.write_text, render_map(found))
            click.echo(f"written: {markdown}", err=True)
        if as_json:
            exits.print_json(found)
        else:
            _show(found)
        return Exit.DONE if found.healthy else Exit.NOT_AUTHORISED

    exits.run(command)


def _show(found: Map) -> None:
    console = exits.console()
    for level, title in _TITLES.items():
        rows = found.at_level(level)
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for column in ("component", "evidence", "age", "why no more"):
            table.add_column(column, overflow="fold")
        for row in rows:
            _add(table, row, found.at)
        if rows:
            console.print(table)
        else:
            console.print(f"{title}: none", highlight=False)
    for line in _lines(found):
        console.print(line, markup=False, highlight=False)


def _add(table: Table, row: Row, now: int) -> None:
    name = f"{row.component} (foreign)" if row.foreign else row.component
    colour = _COLOURS[row.level]
    lines = row.evidence or ()
    table.add_row(
        f"[{colour}]{name}[/{colour}]",
        "\n".join(line.what for line in lines) or "none",
        "\n".join("-" if line.at is None else _age(now - line.at) for line in lines),
        "\n".join(row.reasons) or "-",
    )


def _lines(found: Map) -> list[str]:
    grant = "unknown" if found.grant is None else found.grant.get("component", "nobody")
    lease = "nobody" if found.lease is None else f"{found.lease.component or 'unknown'} ({found.lease.owner})"
    lines = [f"grant: {grant}", f"lease: {found.unknown.get('lease', lease)}"]
    if found.frozen is None:
        lines.append("freeze: unknown")
    elif found.freeze is None:
        lines.append("freeze: none")
    else:
        lines += [
            f"frozen: {one.trigger} since {iso_ms(one.at)}: {one.reason}" for one in found.freeze.triggers
        ]
        lines += [f"way out: {way}" for way in found.freeze.ways_out]
    armed = {None: "unknown", True: "armed", False: "not armed"}[found.safety_armed]
    lines.append(f"safety controller: {armed}")
    if found.uncontrolled is None:
        lines.append(f"positions that nobody controls: unknown: {found.unknown.get('positions', 'not read')}")
    else:
        told = ", ".join(f"{one.symbol} {one.position_side} {one.amount}" for one in found.uncontrolled)
        lines.append(f"positions that nobody controls: {told or 'none'}")
    lines += [f"unknown: {name}: {why}" for name, why in found.unknown.items()]
    return lines


def _age(milliseconds: int) -> str:
    seconds = max(0, milliseconds) / 1000
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3600:.1f} h"
