"""``sureclose``: the group of commands."""

from pathlib import Path
from typing import Final

import click

from sureclose import __version__
from sureclose.cli.codes import Exit
from sureclose.cli.lazy import Lazy
from sureclose.cli.logs import configure as configure_logs
from sureclose.cli.options import Options

_COMMANDS: Final = {
    "run": "sureclose.cli.run:run",
    "paper": "sureclose.paper.command:paper",
    "close": "sureclose.cli.close:close",
    "panic": "sureclose.cli.panic:panic",
    "prove": "sureclose.cli.prove:prove",
    "trace": "sureclose.cli.trace:trace",
    "reconcile": "sureclose.cli.reconcile:reconcile",
    "resolve": "sureclose.cli.resolve:resolve",
    "verify": "sureclose.cli.verify:verify_command",
    "audit": "sureclose.cli.audit:audit",
    "authority": "sureclose.cli.authority:authority",
    "safety": "sureclose.cli.safety:safety",
    "freeze": "sureclose.cli.freezing:freeze",
    "unfreeze": "sureclose.cli.freezing:unfreeze",
    "backlog": "sureclose.cli.backlog:backlog",
    "token": "sureclose.cli.token:token",
    "hooks": "sureclose.cli.hooks:hooks",
    "doctor": "sureclose.cli.doctor:doctor",
    "new-config": "sureclose.cli.configuring:new_config",
    "show-config": "sureclose.cli.configuring:show_config",
}
"""Where each command is."""

# 2 is "not found" here: a command line that is not understood is a matter of configuration.
click.UsageError.exit_code = Exit.CONFIG


@click.group(
    cls=Lazy,
    places=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option(
    "-c",
    "--config",
    "files",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A TOML file of the configuration; may be repeated, later ones win. Without it, ./sureclose.toml if there.",
)
@click.option("-v", "--verbose", is_flag=True, help="Say more on standard error.")
@click.version_option(__version__, "-V", "--version", prog_name="sureclose", message="%(prog)s %(version)s")
@click.pass_context
def main(context: click.Context, files: tuple[Path, ...], *, verbose: bool) -> None:
    """An approved decision to CLOSE becomes exactly one confirmed reducing order on Binance USD-M futures.

    Exit codes: 0 done, 1 error, 2 not found, 3 not running, 4 configuration or usage, 5 timeout, 6 outcome unknown,
    7 frozen or not authorised.
    """
    configure_logs(verbose=verbose)
    context.obj = Options(files, verbose)
