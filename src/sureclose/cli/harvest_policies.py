"""``sureclose harvest policies`` and ``sureclose harvest check``: which policies there are, and whether one keeps the contract."""

import click
from rich.table import Table

from sureclose.cli import exits
from sureclose.cli.codes import Exit
from sureclose.policies import CLAUSES, Finding, check_policy
from sureclose.services.harvest.policies import NoPolicy, PolicyProblem, installed, load_policy


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def policies(*, as_json: bool) -> None:
    """The policies that are installed, ours and others'."""

    async def command() -> Exit:
        found = installed()
        if as_json:
            exits.print_json({"policies": found})
            return Exit.DONE
        table = Table(box=None, pad_edge=False)
        for column in ("policy", "from", "package"):
            table.add_column(column, overflow="fold")
        for one in found:
            table.add_row(*map(exits.plain, (one.name, one.place, one.package)))
        exits.console().print(table)
        return Exit.DONE

    exits.run(command)


@click.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def check(name: str, *, as_json: bool) -> None:
    """Run the policy NAME through the contract of policies. Exit code 1 when it breaks some of it.

    It is asked about a thousand made-up positions: all scales, both sides, everything missing that can be missing.
    """

    async def command() -> Exit:
        try:
            found = check_policy(load_policy(name))
        except NoPolicy as error:
            return exits.fail(Exit.NOT_FOUND, str(error))
        except PolicyProblem as error:
            return exits.fail(Exit.ERROR, str(error))
        if as_json:
            exits.print_json({"policy": name, "keeps": not found, "findings": found})
        else:
            _show(found)
        if found:
            return exits.fail(
                Exit.ERROR, f"{name} breaks {len(found)} of {len(CLAUSES)} clauses; do not run it like this"
            )
        return Exit.DONE

    exits.run(command)


def _show(found: list[Finding]) -> None:
    broken = {finding.clause: finding for finding in found}
    table = Table(box=None, pad_edge=False)
    for column in ("", "clause", "says", "seen"):
        table.add_column(column, overflow="fold")
    for clause, says in CLAUSES.items():
        finding = broken.get(clause)
        seen = (
            ""
            if finding is None
            else f"{finding.what} ({finding.count} times, first with {finding.view or 'none'})"
        )
        table.add_row("ok" if finding is None else "FAIL", clause, says, exits.plain(seen))
    exits.console().print(table)
