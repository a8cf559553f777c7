"""``sureclose trace``: the story of a close, and why a wish did not become one."""

from typing import Any

import click
from rich.console import Console
from rich.table import Table

from sureclose.cli import exits
from sureclose.cli.codes import Exit
from sureclose.cli.options import Options
from sureclose.cli.session import load, opened
from sureclose.operate.trace import Told
from sureclose.operate.trace import trace as tell
from sureclose.operate.trace_refused import RefusedWish
from sureclose.operate.trace_story import Trace

_TOLD = {
    "harvest.intent": (
        "symbol",
        "position_side",
        "action",
        "fraction",
        "quantity",
        "reason",
        "source",
        "expires_at",
    ),
    "apply.plan": ("symbol", "action", "fraction", "quantity", "reason_codes"),
    "apply.result": ("decision", "approved", "executed", "outcome", "filled_qty", "position_after", "veto"),
    "execution.result": (
        "outcome",
        "reason",
        "code",
        "filled_qty",
        "avg_price",
        "order_ids",
        "position_after",
    ),
    "ADMITTED": ("entry.entry_id", "decision.age_source", "by"),
    "SIZED": ("position.amount", "position.update_time", "target", "side"),
    "SENDING": ("attempt", "client_order_id", "side", "quantity", "limit_price", "timestamp", "deadline"),
    "NOTSENT": ("attempt", "reason"),
    "ANSWERED": ("attempt", "answer", "http_status", "code", "message"),
    "SEEN": ("via", "order.order_id", "order.status", "order.executed_qty", "order.orig_qty"),
    "FILLED": ("order.order_id", "trades"),
    "DEAD": ("attempt", "not_found", "orders_read", "evidence_begun_at"),
    "CLEARING": ("why", "orders"),
    "CLEARED": ("why", "gone", "left"),
    "RESUMED": ("worker", "epoch"),
    "ENDED": (
        "outcome.kind",
        "outcome.reason",
        "outcome.code",
        "outcome.veto.seen",
        "position_after.amount",
        "position_after.update_time",
    ),
    "SKIPPED": ("reason", "decision", "entry_id", "group", "by"),
    "RESOLVED": ("actor", "outcome.kind", "outcome.reason", "position.amount", "reason"),
}
"""What a person wants to know of each step; the rest is in ``--json``."""
_LONGEST = 160


@click.command()
@click.argument("wanted", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def trace(options: Options, wanted: str, *, as_json: bool) -> None:
    """What became of ID: intent, plan, decision, attempts, answers, trades, position read, confirmation.

    ID is the id of a plan, of an intent (then all its plans are told of), or of an entry of a stream. What was refused on
    the way is told with its reason, the threshold, the value seen and what to do.
    """

    async def command() -> Exit:
        async with opened(options, "trace", may_start=True) as session:
            found = await tell(session, wanted)
        if found is None:
            return exits.fail(
                Exit.NOT_FOUND,
                f"nobody has heard of {wanted} in {load(options).data_dir}; "
                "`sureclose show-config` shows which log this is",
            )
        if as_json:
            exits.print_json(found.as_json())
        else:
            _show(found)
        absent = dict.fromkeys(part for told in found.traces for part in told.absent)
        if absent:
            known = found.refused or any(told.moments for told in found.traces)
            missing = "; ".join(absent)
            return exits.fail(Exit.DONE if known else Exit.NOT_FOUND, f"not all was looked into: {missing}")
        return Exit.DONE

    exits.run(command)


def _show(told: Told) -> None:
    console = exits.console()
    for number, found in enumerate(told.traces):
        if number:
            console.print()
        _show_plan(console, found)
    if told.refused:
        console.print()
        console.print(_refused(told.refused))


def _refused(wishes: tuple[RefusedWish, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("refused at", "where", "reason", "threshold", "seen", "entry", "what to do"):
        table.add_column(column, no_wrap=column in {"refused at", "entry"})
    for wish in wishes:
        said = (wish.where, wish.reason, wish.threshold, wish.seen, wish.entry_id, wish.remedy)
        table.add_row(wish.as_json()["at"][11:23], *map(exits.plain, said))
    return table


def _show_plan(console: Console, found: Trace) -> None:
    document = found.as_json()
    names = exits.plain(found.plan_id or "-"), exits.plain(found.intent_id or "-")
    console.print(f"plan {names[0]}  intent {names[1]}  state [bold]{found.state}[/bold]")
    if not found.moments:
        return
    table = Table(box=None, pad_edge=False)
    for column, how in (("at", "left"), ("ms", "right"), ("step", "left"), ("what", "left")):
        table.add_column(column, justify="right" if how == "right" else "left", no_wrap=column != "what")
    for step in document["steps"]:
        table.add_row(step["at"][11:23], str(step["since_last_ms"]), step["step"], _what(step))
    console.print(table)


def _what(step: dict[str, Any]) -> str:
    told = {path: _found(step, path) for path in _TOLD.get(step["step"], ("reason",))}
    words = [f"{path}={_short(value)}" for path, value in told.items() if value not in ("", None)]
    return " ".join([f"[dim]{step['where']}[/dim]", *words])


def _found(step: dict[str, Any], path: str) -> Any:
    value: Any = step
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if path in {"orders", "gone", "left"} and value:
        return ", ".join(f"{order['order_type']} {order['client_order_id']}" for order in value)
    if path == "trades" and value:
        return ", ".join(f"{trade['quantity']} at {trade['price']}" for trade in value)
    return value


def _short(value: Any) -> str:
    text = str(value).replace("[", "\\[")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
