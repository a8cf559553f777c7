"""``sureclose close``: a person's close, from the wish to flat."""

import asyncio
import secrets
from collections.abc import Sequence
from decimal import Decimal
from typing import TypeAlias

import click
from redis.exceptions import RedisError

from sureclose.cli import exits
from sureclose.cli.amounts import Amount, FractionType, QuantityType
from sureclose.cli.codes import Exit
from sureclose.cli.options import Options
from sureclose.cli.panic import close_and_tell
from sureclose.cli.previewing import agreed, has_terminal, show_table
from sureclose.cli.previewing import tell as tell_preview
from sureclose.cli.session import actor, opened
from sureclose.cli.telling import code_of, progress, tell
from sureclose.domain.market import Position
from sureclose.domain.times import iso_ms
from sureclose.domain.words import PositionSide
from sureclose.journal import asking
from sureclose.operate.asking import Asked, CloseRequest, ask_to_close, need_executor
from sureclose.operate.closing_all import Wish
from sureclose.operate.following import Follower, follow, follower
from sureclose.operate.preview import Shown, show
from sureclose.operate.session import Session
from sureclose.venue.errors import VenueError

Place: TypeAlias = tuple[str, PositionSide]


@click.command()
@click.argument("symbol", required=False)
@click.option(
    "--all", "everything", is_flag=True, help="Every open position of the account; --side chooses among them."
)
@click.option(
    "--side", type=click.Choice(["long", "short"]), help="Refuse unless the position is on this side."
)
@click.option(
    "--fraction", type=FractionType(), help="How much of the position, such as 0.5; all of it when left out."
)
@click.option("--quantity", type=QuantityType(), help="How much of it at most, in base units.")
@click.option(
    "--preview",
    "--dry-run",
    "only_preview",
    is_flag=True,
    help="Show what would be sent, and send nothing.",
)
@click.option("--wait", is_flag=True, help="Return only with the terminal outcome.")
@click.option(
    "--timeout", type=click.FloatRange(min=0.1), default=60.0, show_default=True, help="Seconds to wait."
)
@click.option("--yes", is_flag=True, help="Close without asking.")
@click.option("--intent-id", help="The name of this wish: the same id again is the same close.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def close(
    options: Options,
    symbol: str | None,
    side: str | None,
    fraction: Decimal | None,
    quantity: Decimal | None,
    *,
    everything: bool,
    only_preview: bool,
    yes: bool,
    wait: bool,
    timeout: float,
    intent_id: str | None,
    as_json: bool,
) -> None:
    """Close the position in SYMBOL, or a part of it, by your own warrant; with --all every open position.

    It shows what would be sent, and asks for it on a terminal. The wish goes the way of all wishes: intent, plan, decision,
    one reducing order, position read back. It needs a running `sureclose run`. --all follows the closes, and tells what is
    flat and what is not.
    """
    if everything == (symbol is not None):
        said = (
            "name one SYMBOL, or say --all"
            if symbol is None
            else "SYMBOL names one and --all means every one; say one of the two"
        )
        raise click.UsageError(said)
    if everything and intent_id is not None:
        raise click.UsageError("--intent-id names one wish, and --all makes one for each position")
    if quantity is not None and (everything or fraction is not None):
        raise click.UsageError("--quantity is a part of one position, in place of --fraction")
    side_wanted = PositionSide(side.upper()) if side else PositionSide.BOTH
    amount = Amount(fraction, quantity)

    async def command() -> Exit:
        async with opened(options, "close", may_start=False) as session:
            if only_preview:
                held = await session.venue.positions()
                wanted = _on(held, side_wanted) if symbol is None else [(_listed(symbol), side_wanted)]
                return tell_preview(await _shown(session, held, wanted, amount), as_json=as_json)
            if symbol is None:
                return await _close_all(session, side_wanted, amount, timeout, yes=yes, as_json=as_json)
            request = CloseRequest(
                symbol=symbol,
                position_side=side_wanted,
                fraction=fraction,
                quantity=quantity,
                intent_id=intent_id or f"close-{secrets.token_hex(8)}",
                actor=actor(),
                person=True,
                door="cli",
                reason="sureclose close",
            )
            if has_terminal() and not await _agreed(session, request, yes=yes):
                return exits.fail(Exit.ERROR, "nothing was closed")
            await need_executor(session)
            async with follower(session) as found:
                try:
                    asked = await ask_to_close(session, request)
                except ValueError as error:
                    return exits.fail(Exit.ERROR, str(error))
                except RedisError as error:
                    return exits.fail(Exit.UNKNOWN, _not_answered(request, error))
                if not wait:
                    tell(asked, None, as_json=as_json)
                    return Exit.DONE
                return await _wait(session, found, asked, timeout, as_json=as_json)

    exits.run(command)


async def _close_all(
    session: Session, side: PositionSide, amount: Amount, seconds: float, *, yes: bool, as_json: bool
) -> Exit:
    held = await session.venue.positions()
    wanted = _on(held, side)
    if wanted:
        show_table(await _shown(session, held, wanted, amount))
        if not yes and not (has_terminal() and agreed("Close all of these?")):
            return exits.fail(Exit.ERROR, "nothing was closed; --yes closes without asking")
    part = amount.fraction or Decimal(1)
    everything = side is PositionSide.BOTH and part == 1
    wish = Wish(actor=actor(), reason="sureclose close --all", fraction=part, everything=everything)
    chosen = [one for one in held if (one.symbol, one.position_side) in wanted]
    return await close_and_tell(session, chosen, wish, seconds, as_json=as_json)


def _not_answered(request: CloseRequest, error: RedisError) -> str:
    """The name was ours to choose, so only this tells it; under another one a repeat of a part closes twice."""
    return (
        f"the log did not answer, so it is not known whether the wish was taken in ({error}); repeat it with "
        f"--intent-id {request.intent_id}, which closes nothing twice"
    )


async def _agreed(session: Session, request: CloseRequest, *, yes: bool) -> bool:
    """A person sees what would be sent. What a person asked for already is only followed, and is no question."""
    known = await asking.asked(session.wire, session.keys, request.intent_id)
    if known is not None and known.warrant_at:
        return True
    wanted = [(_listed(request.symbol), request.position_side)]
    try:
        held = await session.venue.positions()
        show_table(await _shown(session, held, wanted, Amount(request.fraction, request.quantity)))
    except VenueError as error:
        # It stops no close: a person knows less then, and decides.
        click.echo(f"sureclose: what would be sent can't be told: {error}", err=True)
    return yes or agreed(f"Close {request.symbol}?")


async def _shown(
    session: Session, held: Sequence[Position], wanted: Sequence[Place], amount: Amount
) -> Shown:
    return await show(
        session, held, wanted, fraction=amount.fraction, quantity=amount.quantity, actor=actor()
    )


def _on(held: Sequence[Position], side: PositionSide) -> list[Place]:
    """What is open, on that side of the market if one is named: in one-way mode the sign says which."""
    wanted = {PositionSide.LONG: 1, PositionSide.SHORT: -1}.get(side)
    return [
        (one.symbol, one.position_side) for one in held if wanted is None or (one.amount > 0) == (wanted > 0)
    ]


def _listed(symbol: str) -> str:
    """As the venue writes it; what looks like a letter and is none stays what it is."""
    return symbol.upper() if symbol.isascii() else symbol


async def _wait(session: Session, found: Follower, asked: Asked, seconds: float, *, as_json: bool) -> Exit:
    said = "published" if asked.fresh else f"asked for at {iso_ms(asked.record.at)} by {asked.record.actor}"
    click.echo(f"plan {asked.plan_id}: intent {asked.entry_id} {said}", err=True)
    ended = None
    try:
        with progress(asked.plan_id) as tell_state:
            async with asyncio.timeout(seconds):
                async for view in follow(session, found, asked):
                    tell_state(view)
                    ended = view if view.final else None
    except RedisError as error:
        return exits.fail(
            Exit.UNKNOWN,
            f"the log does not answer, so it is not known how the close stands ({error}); it goes on: "
            f"`sureclose trace {asked.plan_id}` tells",
        )
    except TimeoutError:
        pass
    if ended is None:
        return exits.fail(
            Exit.TIMEOUT,
            f"no outcome within {seconds:g} s; the close goes on: `sureclose trace {asked.plan_id}` tells",
        )
    tell(asked, ended, as_json=as_json)
    return code_of(ended)
