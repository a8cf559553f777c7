"""``sureclose close``: a person's close, from the wish to flat."""

import asyncio
import secrets
from decimal import Decimal, InvalidOperation
from typing import Any

import click
import msgspec

from sureclose.cli import exits
from sureclose.cli.codes import Exit
from sureclose.cli.options import Options
from sureclose.cli.panic import agreed, close_and_tell
from sureclose.cli.session import actor, opened
from sureclose.domain.close_state import CloseState
from sureclose.domain.market import Position
from sureclose.domain.times import iso_ms
from sureclose.domain.words import PositionSide
from sureclose.operate.asking import Asked, CloseRequest, ask_to_close, need_executor
from sureclose.operate.closes import CloseView
from sureclose.operate.closing_all import Wish, line
from sureclose.operate.following import Follower, follow, follower
from sureclose.operate.session import Session


class FractionType(click.ParamType[Decimal]):
    """A decimal above 0 and at most 1."""

    name = "fraction"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            fraction = Decimal(str(value))
        except InvalidOperation:
            self.fail(f"{value!r} is not a number; half is 0.5", param, ctx)
        if not fraction.is_finite() or not 0 < fraction <= 1:
            self.fail(f"{value} is not above 0 and at most 1; half is 0.5, all is 1", param, ctx)
        return fraction


@click.command()
@click.argument("symbol", required=False)
@click.option(
    "--all", "everything", is_flag=True, help="Every open position of the account; --side chooses among them."
)
@click.option(
    "--side", type=click.Choice(["long", "short"]), help="Refuse unless the position is on this side."
)
@click.option(
    "--fraction", type=FractionType(), default="1", show_default=True, help="How much of the position."
)
@click.option("--wait", is_flag=True, help="Return only with the terminal outcome.")
@click.option(
    "--timeout", type=click.FloatRange(min=0.1), default=60.0, show_default=True, help="Seconds to wait."
)
@click.option("--yes", is_flag=True, help="Close all without asking.")
@click.option("--intent-id", help="The name of this wish: the same id again is the same close.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def close(
    options: Options,
    symbol: str | None,
    side: str | None,
    fraction: Decimal,
    *,
    everything: bool,
    yes: bool,
    wait: bool,
    timeout: float,
    intent_id: str | None,
    as_json: bool,
) -> None:
    """Close the position in SYMBOL, or a fraction of it, by your own warrant; with --all every open position.

    The wish goes the way of all wishes: intent, plan, decision, one reducing order, position read back. It needs a
    running `sureclose run`. --all shows what it would close, follows the closes, and tells what is flat and what is not.
    """
    if everything == (symbol is not None):
        raise click.UsageError("name one SYMBOL, or say --all")
    if everything and intent_id is not None:
        raise click.UsageError("--intent-id names one wish, and --all makes one for each position")
    position_side = PositionSide(side.upper()) if side else PositionSide.BOTH

    async def command() -> Exit:
        async with opened(options, "close", may_start=False) as session:
            if symbol is None:
                held = await _held(session, position_side)
                wish = Wish(actor=actor(), reason="sureclose close --all", fraction=fraction)
                if held and not agreed(held, wish, yes=yes):
                    return exits.fail(Exit.ERROR, "nothing was closed; --yes closes without asking")
                return await close_and_tell(session, held, wish, timeout, as_json=as_json)
            request = CloseRequest(
                symbol=symbol,
                position_side=position_side,
                fraction=fraction,
                intent_id=intent_id or f"close-{secrets.token_hex(8)}",
                actor=actor(),
                person=True,
                door="cli",
                reason="sureclose close",
            )
            await need_executor(session)
            async with follower(session) as found:
                try:
                    asked = await ask_to_close(session, request)
                except ValueError as error:
                    return exits.fail(Exit.ERROR, str(error))
                if not wait:
                    _say(asked, None, as_json=as_json)
                    return Exit.DONE
                return await _wait(session, found, asked, timeout, as_json=as_json)

    exits.run(command)


async def _held(session: Session, side: PositionSide) -> list[Position]:
    """What is open, on that side of the market if one is named: in one-way mode the sign says which."""
    found = await session.venue.positions()
    wanted = {PositionSide.LONG: 1, PositionSide.SHORT: -1}.get(side)
    return [one for one in found if wanted is None or (one.amount > 0) == (wanted > 0)]


async def _wait(session: Session, found: Follower, asked: Asked, seconds: float, *, as_json: bool) -> Exit:
    said = "published" if asked.fresh else f"asked for at {iso_ms(asked.record.at)} by {asked.record.actor}"
    click.echo(f"plan {asked.plan_id}: intent {asked.entry_id} {said}", err=True)
    try:
        async with asyncio.timeout(seconds):
            async for view in follow(session, found, asked):
                click.echo(f"plan {asked.plan_id}: {line(view)}", err=True)
                if view.final:
                    _say(asked, view, as_json=as_json)
                    if remedy := view.remedy or _WHAT_TO_DO.get(view.reason, ""):
                        click.echo(f"sureclose: {remedy}", err=True)
                    return _code(view)
    except TimeoutError:
        pass
    return exits.fail(
        Exit.TIMEOUT,
        f"no outcome within {seconds:g} s; the close goes on: `sureclose trace {asked.plan_id}` tells",
    )


def _code(view: CloseView) -> Exit:
    """0 is: confirmed flat, or reduced as asked."""
    match view.state:
        case CloseState.FLAT:
            return Exit.DONE
        case CloseState.REDUCED if not view.reason:
            return Exit.DONE
        case CloseState.PARKED:
            return Exit.UNKNOWN
    return Exit.NOT_AUTHORISED if view.reason in {"frozen", "not_authorised"} else Exit.ERROR


_WHAT_TO_DO = {
    "other_side": "the position is on the other side; leave --side out, or name the side that it is on",
    "expired": "the wish was not taken in before it expired; look at `sureclose doctor`, then repeat it",
    "unknown_symbol": "the venue lists no such symbol; write it as the venue does, such as ETHUSDT",
    "below_step": "the amount is below the symbol's smallest step; close a larger fraction",
    "frozen": "closing is frozen and the warrant has run out; repeat the close",
    "not_authorised": "nobody holds the grant and the warrant has run out; repeat the close",
    "position_changed": "somebody else changed the position meanwhile; look at it, then close what is left",
}
"""For the reasons that a person can do something about."""


def _say(asked: Asked, view: CloseView | None, *, as_json: bool) -> None:
    known = {} if view is None else msgspec.to_builtins(view)
    document = {
        "intent_id": asked.intent_id,
        "plan_id": asked.plan_id,
        "entry_id": asked.entry_id,
        "state": "published",
        **{name: _text(value) for name, value in known.items() if name not in {"id", "final"}},
    }
    if as_json:
        exits.print_json(document)
        return
    width = max(map(len, document))
    for name, value in document.items():
        click.echo(f"{name:<{width}}  {value}")


def _text(value: Any) -> str:
    """As the streams have it."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
