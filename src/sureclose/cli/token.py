"""``sureclose token``: the tokens of the HTTP door."""

import json

import click

from sureclose.cli import exits
from sureclose.cli.codes import Exit
from sureclose.operate.api.tokens import Minted, mint
from sureclose.services.settings_tokens import Scope


@click.group()
def token() -> None:
    """Tokens of the HTTP door: who may look at closes and ask for them."""


@token.command("new")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([str(scope) for scope in Scope]),
    help="What it allows; may be repeated. Without it: read and close.",
)
@click.option(
    "--person", is_flag=True, help="It is a person's: a close that comes with it passes under freeze."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def new(name: str, scopes: tuple[str, ...], *, person: bool, as_json: bool) -> None:
    """Make a token called NAME: the token itself, shown this once, and the lines for the configuration, which hold only its digest.

    NAME is who uses it, and stands in journal and traces as who asked.
    """

    async def command() -> Exit:
        chosen = tuple(map(Scope, dict.fromkeys(scopes))) or (Scope.READ, Scope.CLOSE)
        try:
            minted = mint(name, chosen, person=person)
        except ValueError as error:
            return exits.fail(Exit.CONFIG, str(error))
        if as_json:
            exits.print_json(
                {
                    "token": minted.secret,
                    "name": name,
                    "sha256": minted.settings.sha256,
                    "scopes": [str(scope) for scope in chosen],
                    "person": person,
                    "toml": lines(minted),
                }
            )
            return Exit.DONE
        click.echo(minted.secret)
        click.echo()
        click.echo(lines(minted))
        click.echo(
            "sureclose: keep the first line, it is shown only now; the others go into the configuration",
            err=True,
        )
        return Exit.DONE

    exits.run(command)


def lines(minted: Minted) -> str:
    """The token as the configuration has it."""
    settings = minted.settings
    return "\n".join(
        [
            "[[http.tokens]]",
            f"name = {json.dumps(settings.name)}",
            f'sha256 = "{settings.sha256}"',
            f"scopes = {json.dumps([str(scope) for scope in settings.scopes])}",
            f"person = {str(settings.person).lower()}",
        ]
    )
