"""``sureclose``: the group of commands."""

from pathlib import Path

import click

from sureclose import __version__
from sureclose.cli.close import close
from sureclose.cli.configuring import new_config, show_config
from sureclose.cli.doctor import doctor
from sureclose.cli.exits import Exit
from sureclose.cli.logs import configure as configure_logs
from sureclose.cli.prove import prove
from sureclose.cli.reconcile import reconcile
from sureclose.cli.resolve import resolve
from sureclose.cli.run import run
from sureclose.cli.session import Options
from sureclose.cli.trace import trace
from sureclose.cli.verify import verify_command
from sureclose.paper.command import paper

# 2 is "not found" here: a command line that is not understood is a matter of configuration.
click.UsageError.exit_code = Exit.CONFIG


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
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


for command in (
    run,
    paper,
    close,
    prove,
    trace,
    reconcile,
    resolve,
    verify_command,
    doctor,
    new_config,
    show_config,
):
    main.add_command(command)
