"""``sureclose freeze`` and ``sureclose unfreeze``."""

import click

from sureclose.cli import authority_told, exits
from sureclose.cli.codes import Exit
from sureclose.cli.options import Options
from sureclose.cli.session import actor, opened
from sureclose.operate import authorising


@click.command()
@click.option("--reason", required=True, help="Why, for the record and for whoever wants to end it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def freeze(options: Options, reason: str, *, as_json: bool) -> None:
    """Freeze the account: no machine close is sent from now on, whoever holds the grant.

    What was sent already is followed to its end. A person's closes (`sureclose close`) go on. It ends only by
    `sureclose unfreeze`, which needs a passed audit.
    """

    async def command() -> Exit:
        async with opened(options, "freeze", may_start=False) as session:
            record = await authorising.freeze(session, reason=reason, actor=actor())
        authority_told.say(record, as_json=as_json)
        return Exit.DONE

    exits.run(command)


@click.command()
@click.option("--audit", required=True, metavar="ID", help="The passed audit that it rests on.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def unfreeze(options: Options, audit: str, *, as_json: bool) -> None:
    """End the freeze, on the evidence of a passed audit that was begun after its last trigger.

    Refuses with everything that is missing, and changes nothing then.
    """

    async def command() -> Exit:
        async with opened(options, "unfreeze", may_start=False) as session:
            with authority_told.refusals(as_json=as_json) as refused:
                record = await authorising.unfreeze(session, audit=audit, actor=actor())
        if refused.code is not None:
            return refused.code
        authority_told.say(record, as_json=as_json)
        return Exit.DONE

    exits.run(command)
