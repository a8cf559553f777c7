"""``sureclose hooks``: what an alert would become."""

import sys
from pathlib import Path

import click
import msgspec
from rich.table import Table

from sureclose.cli import exits
from sureclose.cli.codes import Exit
from sureclose.cli.options import Options
from sureclose.cli.session import load
from sureclose.config import need_secrets
from sureclose.operate.api.hook_secrets import Hook
from sureclose.operate.api.hook_trial import Trial, trials
from sureclose.venue.clock import wall_ms


@click.group()
def hooks() -> None:
    """Webhooks: alerts of other programs that ask for closes."""


@hooks.command("test")
@click.argument("name")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def try_out(options: Options, name: str, file: Path, *, as_json: bool) -> None:
    """Show what the alert in FILE (- for standard input) would become through the hook NAME. Nothing is sent anywhere.

    FILE holds what the sender posts as its body. Exit code 0 for a close and for an ignored alert, 1 for a refused one.
    """

    async def command() -> Exit:
        config = load(options)
        need_secrets(config)
        if name not in config.hooks:
            known = ", ".join(config.hooks) or "none"
            return exits.fail(
                Exit.NOT_FOUND, f"there is no hook {name} in the configuration; there is {known}"
            )
        raw = _body(file)
        if raw is None:
            return exits.fail(
                Exit.NOT_FOUND, f"{file} can't be read; name a file with the alert's body, or -"
            )
        found = trials(Hook(name, config.hooks[name]), config.account, raw, wall_ms())
        if as_json:
            exits.print_json({"alerts": found})
        else:
            _show(found)
        return Exit.ERROR if any(one.becomes == "refused" for one in found) else Exit.DONE

    exits.run(command)


def _body(file: Path) -> bytes | None:
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError:
        return None


def _show(found: tuple[Trial, ...]) -> None:
    for one in found:
        table = Table(show_header=False, box=None, pad_edge=False)
        for name, value in msgspec.to_builtins(one).items():
            table.add_row(name, exits.plain(value))
        exits.console().print(table)
