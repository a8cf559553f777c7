"""How the authority record, and a refusal to change it, are told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click
from rich.table import Table

from sureclose.cli import exits
from sureclose.cli.codes import Exit
from sureclose.domain.authority import Authority, CantChange
from sureclose.domain.times import iso_ms
from sureclose.operate.authorising import Refused


@dataclass
class Refusal:
    """The exit code of a change that was refused, or ``None``."""

    code: Exit | None = None


@contextmanager
def refusals(*, as_json: bool) -> Iterator[Refusal]:
    """Tell why a change is refused, everything that is missing for it, and go on behind it."""
    refused = Refusal()
    try:
        yield refused
    except Refused as error:
        refused.code = Exit.NOT_AUTHORISED
        if as_json:
            exits.print_json({"refused": True, "missing": error.missing})
        click.echo("sureclose: refused, nothing was changed. What is missing:", err=True)
        for line in error.missing:
            click.echo(f"  - {line}", err=True)
    except CantChange as error:
        if as_json:
            exits.print_json({"refused": True, "missing": [str(error)]})
        refused.code = exits.fail(Exit.NOT_AUTHORISED, f"refused, nothing was changed: {error}")


def document(record: Authority) -> dict[str, Any]:
    """The record for machines: what is JSON inside is opened."""
    freeze: dict[str, Any] = dict(record.freeze)
    for name in ("triggers", "ways_out", "positions"):
        if name in freeze:
            freeze[name] = _opened(freeze[name])
    return {
        "revision": record.revision,
        "component": record.component,
        "frozen": record.frozen,
        "grant": record.grant,
        "freeze": freeze,
    }


def say(record: Authority, *, as_json: bool) -> None:
    """The record as it is now, on standard output."""
    if as_json:
        exits.print_json(document(record))
        return
    told = document(record)
    table = Table(show_header=False)
    holder = f"{record.component} ({record.grant.get('kind')})" if record.component else "nobody"
    table.add_row("grant", holder)
    if not record.frozen:
        table.add_row("frozen", "no")
    else:
        table.add_row("frozen", "YES: a machine close ends as SKIPPED(frozen), a person's goes on")
        for cause in record.triggers:
            by = f", by {cause.actor}" if cause.actor else ""
            table.add_row("because", f"{cause.trigger} at {iso_ms(cause.at)}{by}: {cause.reason}")
        table.add_row("open then", _positions(told["freeze"].get("positions")))
        for way in told["freeze"].get("ways_out", ()):
            table.add_row("way out", way)
    exits.console().print(table)


def _positions(found: Any) -> str:
    if not isinstance(found, list):
        return str(found)
    return ", ".join(f"{one['symbol']} {one['amount']}" for one in found) or "nothing"


def _opened(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
