"""``sureclose verify``: whether the journal keeps its rules, by itself and against the exchange."""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import click
from rich.markup import escape
from rich.table import Table

from sureclose.cli import exits
from sureclose.cli.codes import Exit
from sureclose.cli.options import Options
from sureclose.cli.session import hosts_paper, load, opened
from sureclose.config import Config, ConfigError
from sureclose.journal.checking import books as exchange
from sureclose.journal.checking.books import Books, BooksUnreadable
from sureclose.journal.checking.case import Bounds
from sureclose.journal.checking.examination import Report
from sureclose.journal.checking.export import JournalFileUnreadable
from sureclose.journal.checking.findings import Check, Noted, Rule
from sureclose.journal.checking.reading import Reader
from sureclose.journal.keys import Keys
from sureclose.journal.library import Library
from sureclose.operate.host import Host, Wanted, paper_arguments
from sureclose.operate.session import segments_folder
from sureclose.operate.verify import FromFile, FromLog, Source, books_of, export, verify
from sureclose.services import identity
from sureclose.services.routes import executors
from sureclose.streams.address import EMBEDDED
from sureclose.streams.connection import Log
from sureclose.streams.names import StreamName
from sureclose.venue.clock import wall_ms

_TELL_EVERY: Final = 10_000
"""Records between two lines of progress."""
_SHOWN: Final = 20
"""How many lines a person gets of each kind; ``--json`` has all."""
_FILE: Final = click.Path(dir_okay=False, path_type=Path)


@click.command("verify")
@click.argument("plan_ids", metavar="[PLAN_ID]...", nargs=-1)
@click.option(
    "--journal", "journal", type=_FILE, metavar="FILE", help="Check an exported journal; needs no log."
)
@click.option(
    "--export", "target", type=_FILE, metavar="FILE", help="Write the journal to FILE instead of checking it."
)
@click.option(
    "--trades",
    "trades",
    type=_FILE,
    metavar="FILE",
    multiple=True,
    help='The exchange\'s records: {"orders", "trades", "positions"}, or lists as allOrders and userTrades give them.',
)
@click.option("--venue", "venue", is_flag=True, help="Read orders and trades from the configured venue.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def verify_command(
    options: Options,
    plan_ids: tuple[str, ...],
    *,
    journal: Path | None,
    target: Path | None,
    trades: tuple[Path, ...],
    venue: bool,
    as_json: bool,
) -> None:
    """Hold the account's journal, or that of some plans, to the rules of one effect.

    Chain, order of facts and invariants by number; against the exchange's records too, where they are given. Exit
    codes: 0 all that was checked holds, 1 a violation, 2 nothing found.
    """

    async def command() -> Exit:
        if target is not None and (journal is not None or trades or venue):
            return exits.fail(
                Exit.CONFIG, "--export writes what is in the log, and checks nothing; give it alone"
            )
        if trades and venue:
            return exits.fail(Exit.CONFIG, "give --trades or --venue: one of them is the exchange's word")
        config = load(options)
        try:
            async with _source(options, config, plan_ids, journal, venue=venue) as (source, books):
                if target is not None:
                    return await _export(source, target)
                report = await verify(source, _bounds(config), _books(trades) if trades else books)
        except (BooksUnreadable, JournalFileUnreadable) as error:
            return exits.fail(Exit.CONFIG, str(error))
        if as_json:
            exits.print_json(report)
        else:
            _show(report)
        if not report.closes and report.ok:
            return exits.fail(Exit.NOT_FOUND, _nothing(config, plan_ids, journal, _elsewhere(report)))
        return Exit.DONE if report.ok else Exit.ERROR

    exits.run(command)


# What is read -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _source(
    options: Options, config: Config, plan_ids: Sequence[str], journal: Path | None, *, venue: bool
) -> AsyncIterator[tuple[Source, Books | None]]:
    """The journal, and the venue's books if they are asked for: read first, so that no order in them is too young."""
    async with AsyncExitStack() as stack:
        session = None
        if venue:
            session = await stack.enter_async_context(opened(options, "verify", may_start=True))
        source: Source
        if journal is not None:
            with _file_trouble():
                source = FromFile(journal, plan_ids)
        else:
            log = session.log if session is not None else await stack.enter_async_context(_log(config))
            source = FromLog(_reader(log, config), _library(log, config), config.account, plan_ids, wall_ms())
        books = None if session is None else await books_of(source, session.venue, _say)
        yield source, books


@asynccontextmanager
async def _log(config: Config) -> AsyncIterator[Log]:
    """The log alone: whoever checks a journal needs no key of the venue."""
    wanted = Wanted(
        folder=config.data_dir,
        command="verify",
        log=config.redis.url == EMBEDDED,
        binary=config.redis.binary,
        paper=hosts_paper(config) and config.redis.url == EMBEDDED,
        paper_arguments=paper_arguments(
            config.paper.positions, config.paper.symbols, config.paper.limits, config.paper.seed
        ),
    )
    async with (
        Host(wanted, may_start=True, monotonic=time.monotonic) as host,
        Log(config.redis, address=host.runtime.log_url or None) as log,
    ):
        await log.check()
        yield log


@contextmanager
def _file_trouble() -> Iterator[None]:
    """A file that can't be opened is a matter of what was typed."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}") from None


def _books(files: Sequence[Path]) -> Books:
    with _file_trouble():
        return exchange.parse([file.read_bytes() for file in files])


def _reader(log: Log, config: Config) -> Reader:
    return Reader(
        log.commands(),
        Keys(config.streams.prefix, config.account),
        groups=[route.group for route in executors(config.streams, config.harvest_brain)],
        results=config.streams.full(StreamName.EXECUTION_RESULT),
        environment=config.venue.environment,
        progress=_progress(),
    )


def _library(log: Log, config: Config) -> Library:
    return Library(
        log.commands(),
        Keys(config.streams.prefix, config.account),
        host=identity.host(),
        folder=segments_folder(config.data_dir, config.account),
    )


def _progress() -> Callable[[int], None]:
    told = 0

    def progress(records: int) -> None:
        nonlocal told
        if records // _TELL_EVERY > told // _TELL_EVERY:
            _say(f"{records} records read")
        told = records

    return progress


def _say(line: str) -> None:
    click.echo(line, err=True)


def _bounds(config: Config) -> Bounds:
    """The numbers that this deployment proves by; the clock error is the margin, which must be above it (A2)."""
    return Bounds(
        prefix=config.venue.client_order_id_prefix,
        margin=config.execution.margin_ms,
        spread=config.execution.spread_ms,
        clock_error=config.execution.margin_ms,
    )


async def _export(source: Source, target: Path) -> Exit:
    with _file_trouble():
        file = target.open("xb")
    with file:
        trouble: list[str] = []
        written = await export(source, file, trouble.append)
    _say(f"wrote {written.closes} closes with {written.records} records to {target}")
    if trouble:
        return exits.fail(Exit.ERROR, "the file is not complete: " + "; ".join(trouble))
    return Exit.DONE if written.closes else exits.fail(Exit.NOT_FOUND, "there was nothing to export")


def _elsewhere(report: Report) -> str:
    """What was not looked into, when segments are on another host."""
    absent = [one.what for check in report.checks if check.rule is Rule.SEGMENTS for one in check.unclear]
    return f"; it may be in what is not here: {'; '.join(absent[:_SHOWN])}" if absent else ""


def _nothing(config: Config, plan_ids: Sequence[str], journal: Path | None, elsewhere: str) -> str:
    what = f"plan {' or '.join(plan_ids)}" if plan_ids else "a close"
    if journal is not None:
        return f"{journal} has no record of {what}"
    where = "; `sureclose show-config` shows which log this is"
    return f"the journal of {config.account} has no record of {what}{elsewhere or where}"


# What is told -------------------------------------------------------------------------------------------------------


def _show(report: Report) -> None:
    console = exits.console()
    table = Table(box=None, pad_edge=False)
    for column in ("rule", "against", "what it says", "holds", "checked"):
        table.add_column(column, overflow="fold", justify="right" if column == "checked" else "left")
    for check in report.checks:
        table.add_row(check.rule, check.against, check.meaning, _holds(check), str(check.checked))
    console.print(table)
    for check in report.checks:
        _lines(f"VIOLATED {check.rule} ({check.against})", check.violations)
    for check in report.checks:
        _lines(f"not checkable: {check.rule} ({check.against})", check.unclear)
    if report.foreign:
        console.print(f"FOREIGN: {len(report.foreign)} orders of somebody else on the account")
        for order in report.foreign[:_SHOWN]:
            reduces = "reduces" if order.reduces else "does not reduce"
            line = f"  {order.order_id} {order.client_order_id} {order.side} {order.executed_qty} {order.symbol}, {reduces}"
            console.print(escape(line))
    violations = sum(len(check.violations) for check in report.checks)
    left = sum(1 for check in report.checks if check.holds is None)
    console.print(
        f"{report.closes} closes, {report.records} records: "
        f"{violations or 'no'} violations, {left or 'no'} of {len(report.checks)} checks not made"
    )


def _holds(check: Check) -> str:
    if check.holds is None:
        return f"[dim]{check.why_not or 'not checkable'}[/dim]"
    unclear = f" ({len(check.unclear)} not checkable)" if check.unclear else ""
    return ("[green]yes[/green]" if check.holds else "[bold red]NO[/bold red]") + unclear


def _lines(title: str, noted: Sequence[Noted]) -> None:
    console = exits.console()
    for one in noted[:_SHOWN]:
        records = " ".join(hash_[:12] for hash_ in one.records[:6])
        console.print(escape(f"{title}: plan {one.plan_id or '-'}: {one.what} [{records}]"))
    if len(noted) > _SHOWN:
        console.print(f"{title}: {len(noted) - _SHOWN} more; --json has them all")
