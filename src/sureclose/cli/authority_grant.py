"""``sureclose authority grant`` and ``sureclose authority demote``."""

from typing import Final

import click

from sureclose.cli import authority_told, exits
from sureclose.cli.codes import Exit
from sureclose.cli.options import Options
from sureclose.cli.session import actor, opened
from sureclose.domain.authority import Component
from sureclose.operate import authorising

_NAME: Final = click.Choice([str(Component.EXECUTION_SERVICE), str(Component.HARVEST_BRAIN)])


@click.command()
@click.argument("name", type=_NAME, metavar="NAME")
@click.option("--audit", required=True, metavar="ID", help="The passed audit of NAME that it rests on.")
@click.option("--reason", default="", help="Why, for the record.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def grant(options: Options, name: str, audit: str, reason: str, *, as_json: bool) -> None:
    """Give NAME (execution_service or harvest_brain) the right to execute machine closes, on the evidence of a passed audit about it.

    One component holds the grant: another one's is ended by `authority demote`, or moved by `authority switch`. A freeze
    stays until `sureclose unfreeze`.
    """

    async def command() -> Exit:
        async with opened(options, "authority", may_start=False) as session:
            with authority_told.refusals(as_json=as_json) as refused:
                record = await authorising.grant(
                    session, Component(name), audit=audit, reason=reason, actor=actor()
                )
        if refused.code is not None:
            return refused.code
        authority_told.say(record, as_json=as_json)
        return Exit.DONE

    exits.run(command)


@click.command()
@click.argument("name", type=_NAME, metavar="NAME")
@click.option("--reason", required=True, help="Why, for the record.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def demote(options: Options, name: str, reason: str, *, as_json: bool) -> None:
    """Take the grant away from NAME (execution_service or harvest_brain). It was the last one, so the account is frozen with it."""

    async def command() -> Exit:
        async with opened(options, "authority", may_start=False) as session:
            with authority_told.refusals(as_json=as_json) as refused:
                record = await authorising.demote(session, Component(name), reason=reason, actor=actor())
        if refused.code is not None:
            return refused.code
        authority_told.say(record, as_json=as_json)
        return Exit.DONE

    exits.run(command)
