"""``sureclose doctor``."""

import click
from rich.table import Table

from sureclose.cli import exits
from sureclose.cli.codes import Exit
from sureclose.cli.options import Options
from sureclose.cli.session import load, opened
from sureclose.operate.doctor import Check, Status, examine

_COLOURS = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "red", Status.SKIP: "dim"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def doctor(options: Options, *, as_json: bool) -> None:
    """Check log, venue, keys, clock, authority and wiring; each line says what to do. Exit 1 if a check fails."""

    async def command() -> Exit:
        config = load(options)
        async with opened(options, "doctor", may_start=True) as session:
            checks = await examine(
                session,
                accept_everysec=config.redis.accept_everysec,
                execute_is_approval=config.compat.execute_is_approval,
            )
        if as_json:
            exits.print_json({"checks": checks})
        else:
            _show(checks)
        return Exit.ERROR if any(check.status is Status.FAIL for check in checks) else Exit.DONE

    exits.run(command)


def _show(checks: list[Check]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("", "check", "detail", "what to do"):
        table.add_column(column, overflow="fold")
    for check in checks:
        colour = _COLOURS[check.status]
        table.add_row(f"[{colour}]{check.status}[/{colour}]", check.name, check.detail, check.remedy)
    exits.console().print(table)
