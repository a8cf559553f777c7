"""``sureclose prove``: six proofs of one close and its restart."""

import json
import secrets
import sys
from collections.abc import Iterable
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from sureclose.cli import exits
from sureclose.cli.children import child_executor
from sureclose.cli.codes import Exit
from sureclose.cli.options import Options
from sureclose.cli.session import actor, hosts_paper, load, opened
from sureclose.config import Config
from sureclose.domain.words import Mode
from sureclose.operate.executor import Executor, RestartCommand
from sureclose.operate.leading import leading_path
from sureclose.operate.paper_control import PaperControl
from sureclose.operate.prove import Order, Proven
from sureclose.operate.prove import prove as show
from sureclose.operate.prove_wishes import ByHarvest, ByPerson, Wishes
from sureclose.operate.session import Session
from sureclose.services.routes import default_roles, roles_of
from sureclose.services.settings import Role

_SEEDS = {
    "ETHUSDT": (Decimal("0.5"), Decimal(2400)),
    "BTCUSDT": (Decimal("-0.010"), Decimal(64000)),
    "SOLUSDT": (Decimal(10), Decimal(150)),
}
"""What is put on the paper exchange to be closed: a long and a short, with a third in reserve."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the evidence goes.  [default: evidence/ in the data folder]",
)
@click.option(
    "--symbols",
    metavar="A,B",
    help="Two symbols with open positions, to be closed. Needed with an external venue.",
)
@click.option("--yes", is_flag=True, help="Close these positions without asking.")
@click.option(
    "--restart-command", help="Restarts the executor instead of the SIGKILL of a process of our own."
)
@click.option(
    "--via",
    type=click.Choice(["person", "harvest"]),
    default="person",
    show_default=True,
    help="Whose wish is followed. Harvest's: on paper only, the price is moved until it proposes a close by itself.",
)
@click.pass_obj
def prove(
    options: Options,
    *,
    as_json: bool,
    out: Path | None,
    symbols: str | None,
    yes: bool,
    restart_command: str | None,
    via: str,
) -> None:
    """Close two positions and show six facts: generated, consumed, placed, confirmed, flat, restart survived.

    On the embedded paper exchange it puts the positions there itself. Elsewhere it closes two that exist, named with
    --symbols, and never opens anything.
    """

    async def command() -> Exit:
        config = load(options)
        token = secrets.token_hex(4)
        progress = _progress
        progress("starting")
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(opened(options, "prove", may_start=True))
            if not session.host.started_here and restart_command is None and hosts_paper(config):
                return exits.fail(
                    Exit.ERROR,
                    f"`sureclose {session.host.runtime.command}` (process {session.host.runtime.pid}) runs in this data "
                    "folder; stop it, or say how to restart it with --restart-command",
                )
            control = None
            if session.mode is Mode.PAPER:
                control = await stack.enter_async_context(
                    PaperControl(session.venue_settings.base_url, session.credentials)
                )
            if via == "harvest" and control is None:
                return exits.fail(
                    Exit.CONFIG, "--via harvest moves the price, which only a paper exchange lets it do"
                )
            chosen = await _chosen(session, config, symbols, control if hosts_paper(config) else None)
            if isinstance(chosen, str):
                return exits.fail(Exit.CONFIG, chosen)
            if not hosts_paper(config) and not _agreed(session, chosen, yes=yes):
                return exits.fail(Exit.ERROR, "nothing was closed")
            folder = (out or session.folder / "evidence" / f"prove-{token}").resolve()
            folder.mkdir(parents=True, exist_ok=True)
            roles = (
                *default_roles(config.execution.path, config.harvest_brain),
                *roles_of(await leading_path(session), config.harvest_brain),
            )
            executor = _executor(options, dict.fromkeys(roles), restart_command, folder)
            wishes: Wishes = ByPerson(actor())
            if via == "harvest" and control is not None:
                await _harvest(options, folder, stack)
                wishes = ByHarvest(control)
            proven = await show(
                session,
                Order(*chosen, wishes=wishes),
                executor,
                token=token,
                progress=progress,
                control=control,
            )
        _keep(folder, proven)
        if as_json:
            exits.print_json(_document(proven, folder))
        else:
            _table(proven, folder)
        return Exit.DONE if proven.holds else Exit.ERROR

    exits.run(command)


async def _harvest(options: Options, folder: Path, stack: AsyncExitStack) -> None:
    """A process of its own, so that it outlives the executor that is killed; it decides about every open position."""
    harvest = child_executor(options, (Role.HARVEST,), folder / "harvest.log")
    await harvest.start()
    stack.push_async_callback(harvest.stop)


def _progress(what: str) -> None:
    click.echo(f"prove: {what}", err=True)


def _executor(options: Options, roles: Iterable[Role], restart_command: str | None, folder: Path) -> Executor:
    if restart_command is not None:
        return RestartCommand(restart_command)
    return child_executor(options, roles, folder / "executor.log")


async def _chosen(
    session: Session, config: Config, symbols: str | None, seeds: PaperControl | None
) -> tuple[str, str] | str:
    """The two symbols to close, or what is wrong with the choice."""
    wanted = [symbol.strip().upper() for symbol in (symbols or "").split(",") if symbol.strip()]
    held = {position.symbol for position in await session.venue.positions()}
    if seeds is not None and not wanted:
        free = [symbol for symbol in _SEEDS if symbol not in held][:2]
        if len(free) < 2:
            return (
                f"no two of {', '.join(_SEEDS)} are flat on the paper exchange; name two with --symbols A,B"
            )
        for symbol in free:
            await seeds.seed(symbol, *_SEEDS[symbol])
        return free[0], free[1]
    if len(set(wanted)) != 2:
        return (
            f"name two symbols with open positions: --symbols A,B (open: {', '.join(sorted(held)) or 'none'})"
        )
    flat = [symbol for symbol in wanted if symbol not in held]
    if flat:
        return f"{', '.join(flat)} has no open position on {config.account}; nothing is opened to be closed"
    return wanted[0], wanted[1]


def _agreed(session: Session, chosen: tuple[str, str], *, yes: bool) -> bool:
    """Real positions are closed on a person's word only; on live the account's name has to be typed as well."""
    what = f"close {chosen[0]} and {chosen[1]} in full, at market, on {session.keys.account}"
    if not yes:
        if not sys.stdin.isatty():
            _progress(f"this would {what}; say --yes")
            return False
        if not click.confirm(f"This will {what}. Go on?", err=True):
            return False
    if session.mode is Mode.LIVE:
        name = session.venue_settings.account
        typed: str = click.prompt(f"This is the live exchange. Type the account's name ({name})", err=True)
        return typed == name
    return True


def _document(proven: Proven, folder: Path) -> dict[str, object]:
    return {
        "plan_id": proven.plan_id,
        "holds": proven.holds,
        "environment": proven.environment,
        "symbol": proven.symbol,
        "evidence_folder": str(folder),
        "proofs": msgspec.to_builtins(proven.proofs),
    }


def _keep(folder: Path, proven: Proven) -> None:
    """One file a proof, and one for all."""
    for proof in proven.proofs:
        content = {"plan_id": proven.plan_id, **msgspec.to_builtins(proof)}
        (folder / f"proof-{proof.number}.json").write_text(json.dumps(content, indent=2) + "\n")
    (folder / "proofs.json").write_text(json.dumps(_document(proven, folder), indent=2) + "\n")


def _table(proven: Proven, folder: Path) -> None:
    console = Console()
    table = Table(title=f"plan {proven.plan_id} on {proven.environment}", title_justify="left")
    for column in ("#", "proof", "holds", "evidence"):
        table.add_column(column, overflow="fold")
    for proof in proven.proofs:
        holds = "[green]yes[/green]" if proof.holds else "[red]NO[/red]"
        shown = _SHOWN[proof.number - 1](proof.evidence) if proof.holds else str(proof.evidence["why"])
        table.add_row(str(proof.number), proof.name, holds, shown)
    console.print(table)
    console.print(
        f"{sum(proof.holds for proof in proven.proofs)} of 6 hold. Evidence: {folder}", soft_wrap=True
    )


def _generated(evidence: dict[str, Any]) -> str:
    added = f"{evidence['entries_added_before']} to {evidence['entries_added_after']} entries"
    return f"entry {evidence['entry_id']}, {added}"


def _consumed(evidence: dict[str, Any]) -> str:
    groups = evidence["groups"]
    return "\n".join(f"{group['group']}: read, not pending, lag {group['lag']}" for group in groups)


def _placed(evidence: dict[str, Any]) -> str:
    return "\n".join(
        f"{order['side']} {order['quantity']}, reduce only {order['reduce_only']}\n"
        f"{order['client_order_id']}\norder {order['order_id']}"
        for order in evidence["orders"]
    )


def _confirmed(evidence: dict[str, Any]) -> str:
    trades = len(evidence["trade_ids"])
    return f"{evidence['status']} {evidence['quantity']} at {evidence['average_price']}, {trades} trade(s)"


def _flat(evidence: dict[str, Any]) -> str:
    later = evidence["read_requested_at"] - evidence["last_fill_at"]
    return f"{evidence['position_before']} to {evidence['position_after']}, read {later} ms after the fill"


def _survived(evidence: dict[str, Any]) -> str:
    return (
        f"{evidence['symbol']}: {evidence['killed_by']}\n"
        f"first entry read {evidence['start_to_first_entry_read_ms']} ms after its start\n"
        f"{evidence['outcome']} {evidence['kill_to_flat_ms']} ms after the kill, "
        f"{len(evidence['effective_orders'])} effective order"
    )


_SHOWN = (_generated, _consumed, _placed, _confirmed, _flat, _survived)
"""What a person reads of each proof; all of it is in the files."""
