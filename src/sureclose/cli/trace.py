"""``sureclose trace``: the story of one plan."""

from typing import Any

import click
from rich.console import Console
from rich.table import Table

from sureclose.cli import exits
from sureclose.cli.exits import Exit
from sureclose.cli.session import Options, opened
from sureclose.operate.trace import Trace
from sureclose.operate.trace import trace as tell

_QUIET = frozenset(
    {"schema", "producer", "mode", "plan_id", "intent_id", "cause", "by", "created_at", "origin_at"}
)
_LONGEST = 160


@click.command()
@click.argument("plan_id")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def trace(options: Options, plan_id: str, *, as_json: bool) -> None:
    """What became of PLAN_ID: intent, plan, decision, attempts, answers, trades, position read, confirmation."""

    async def command() -> Exit:
        async with opened(options.load(), "trace", may_start=True) as session:
            found = await tell(session, plan_id)
        if found is None:
            return exits.fail(
                Exit.NOT_FOUND,
                f"nobody has heard of plan {plan_id} in {options.load().data_dir}; "
                "`sureclose show-config` shows which log this is",
            )
        if as_json:
            exits.print_json(found.as_json())
        else:
            _show(found)
        return Exit.DONE

    exits.run(command)


def _show(found: Trace) -> None:
    document = found.as_json()
    console = Console()
    console.print(f"plan {found.plan_id}  intent {found.intent_id}  state [bold]{found.state}[/bold]")
    table = Table(box=None, pad_edge=False)
    for column, how in (("at", "left"), ("ms", "right"), ("step", "left"), ("what", "left")):
        table.add_column(column, justify="right" if how == "right" else "left", no_wrap=column != "what")
    for step in document["steps"]:
        table.add_row(step["at"][11:23], str(step["since_last_ms"]), step["step"], _what(step))
    console.print(table)


def _what(step: dict[str, Any]) -> str:
    told = {
        name: value
        for name, value in step.items()
        if name not in _QUIET
        and not name.startswith("since_")
        and name not in {"step", "at"}
        and value not in ("", None)
    }
    where = told.pop("where")
    return f"[dim]{where}[/dim] " + " ".join(f"{name}={_short(value)}" for name, value in told.items())


def _short(value: Any) -> str:
    text = str(value).replace("[", "\\[")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
