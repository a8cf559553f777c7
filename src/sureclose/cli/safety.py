"""``sureclose safety``: the baseline safety controller of a frozen account that nobody executes for."""

from typing import Any

import click
import msgspec
from rich.table import Table

from sureclose.cli import authority_told, exits
from sureclose.cli.codes import Exit
from sureclose.cli.options import Options
from sureclose.cli.session import actor, opened
from sureclose.domain.arming import Armed, Arming
from sureclose.domain.times import iso_ms
from sureclose.operate import safety as operate
from sureclose.operate.safety import SafetyStatus


@click.group()
def safety() -> None:
    """Close positions that go badly wrong while the account is frozen and nobody executes.

    Fixed rules: loss <= -3 %, age >= 72 h, margin ratio >= 0.85. It can't open, size or optimise.
    """


@safety.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def arm(options: Options, *, as_json: bool) -> None:
    """Arm it for 30 days, under the freeze that stands now.

    Refuses when the account is not frozen, when an executor holds the lease, or when positions can't be read.
    """

    async def command() -> Exit:
        async with opened(options, "safety", may_start=False) as session:
            with authority_told.refusals(as_json=as_json) as refused:
                arming = await operate.arm(session, actor())
        if refused.code is not None:
            return refused.code
        if as_json:
            exits.print_json(_arming(arming))
            return Exit.DONE
        checked = msgspec.json.decode(arming.checked)
        click.echo(f"armed by {arming.actor} until {iso_ms(arming.expires_at)} (revision {arming.revision})")
        click.echo(f"  {'place':<18}  {arming.place}")
        for name, value in checked.items():
            said = ", ".join(value) or "none" if isinstance(value, list) else value
            click.echo(f"  {name:<18}  {said}")
        click.echo(
            "it acts while `sureclose run --roles safety` runs; `sureclose safety status` says how it stands"
        )
        return Exit.DONE

    exits.run(command)


@safety.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def disarm(options: Options, *, as_json: bool) -> None:
    """Disarm it, whatever the state: no order of it passes the gate from now on."""

    async def command() -> Exit:
        async with opened(options, "safety", may_start=False) as session:
            stood = await operate.disarm(session, actor())
        if as_json:
            exits.print_json({"armed": False, "was_armed": stood})
        else:
            click.echo("disarmed" if stood else "it was not armed")
        return Exit.DONE

    exits.run(command)


@safety.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def status(options: Options, *, as_json: bool) -> None:
    """Show whether it is armed, whether it runs, what its rules say of each position, and why it would not act."""

    async def command() -> Exit:
        async with opened(options, "safety", may_start=False) as session:
            found = await operate.status(session)
        if as_json:
            exits.print_json(_document(found))
        else:
            _say(found)
        return Exit.DONE

    exits.run(command)


def _arming(arming: Arming | None) -> dict[str, Any] | None:
    if arming is None:
        return None
    document: dict[str, Any] = msgspec.to_builtins(arming)
    document["checked"] = msgspec.json.decode(arming.checked) if arming.checked else None
    for name in ("armed_at", "expires_at", "ended_at"):
        document[name] = iso_ms(document[name]) if document[name] else None
    return document


def _document(found: SafetyStatus) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(found)
    document["arming"] = _arming(found.arming)
    document["acts"] = not found.idle
    return document


def _say(found: SafetyStatus) -> None:
    arming, health = found.arming, found.health
    if arming is None:
        click.echo("never armed")
    elif arming.state is Armed.DISARMED:
        click.echo(
            f"disarmed by {arming.ended_by} at {iso_ms(arming.ended_at)}; armed before by {arming.actor}"
        )
    else:
        word = "armed" if found.armed else "expired: it was armed"
        click.echo(f"{word} by {arming.actor} until {iso_ms(arming.expires_at)}")
    if health is None or found.health_age_s is None:
        click.echo("no controller has ever said anything here")
    else:
        word = "alive" if found.alive else "NOT THERE"
        click.echo(f"controller {health.worker}: {word}, last heard {found.health_age_s:.1f} s ago")
        if health.blind:
            click.echo(f"BLIND: {health.blind}")
        elif not health.positions:
            click.echo("no open position")
        else:
            exits.console().print(_table(found))
    for one in found.fired:
        click.echo(
            f"try {one.number} for {one.rule} of {one.symbol} {one.position_side}: `sureclose trace {one.plan_id}`"
        )
    if not found.idle:
        click.echo("it acts when a rule fires twice")
    for why in found.idle:
        click.echo(f"it would not act: {why}")


def _table(found: SafetyStatus) -> Table:
    assert found.health is not None
    title = None if found.alive else f"as of {iso_ms(found.health.at)}, not now"
    table = Table("symbol", "side", "amount", "rule", "answer", "seen", "limit", "why", title=title)
    for position in found.health.positions:
        for rule in position.rules:
            table.add_row(
                position.symbol,
                position.position_side,
                position.amount,
                rule.rule,
                rule.answer,
                rule.seen,
                rule.threshold,
                rule.why,
            )
    return table
