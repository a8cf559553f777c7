"""``sureclose run``: the services of one process."""

import asyncio
import signal

import click

from sureclose.cli import exits
from sureclose.cli.codes import Exit
from sureclose.cli.options import Options
from sureclose.cli.session import load, opened
from sureclose.config import need_secrets
from sureclose.operate import running
from sureclose.paper.command import die_with_parent
from sureclose.services.routes import default_roles
from sureclose.services.settings import Role


class RolesType(click.ParamType[tuple[Role, ...]]):
    """A list of roles, separated by commas."""

    name = "roles"

    def convert(
        self, value: str | tuple[Role, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Role, ...]:
        if isinstance(value, tuple):
            return value
        words = [word.strip() for word in value.split(",") if word.strip()]
        unknown = [word for word in words if word not in set(Role)]
        if unknown or not words:
            self.fail(
                f"{', '.join(unknown) or 'nothing'} is no role; there are {', '.join(Role)}", param, ctx
            )
        if Role.SAFETY in words and set(words) != {Role.SAFETY}:
            self.fail("safety needs a process of its own: it acts where the others are not there", param, ctx)
        return tuple(dict.fromkeys(map(Role, words)))


@click.command()
@click.option(
    "--roles",
    type=RolesType(),
    help="What this process does.  [default: intent-executor, apply-layer, and the executor of execution.path; harvest only when it is named, safety only alone]",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Do everything but send: record what would be sent, beside a real run or without one.",
)
@click.option("--parent-death", type=int, metavar="PID", hidden=True, help="Stop when that parent ends.")
@click.pass_obj
def run(options: Options, roles: tuple[Role, ...] | None, parent_death: int | None, *, dry_run: bool) -> None:
    """Run the pipeline: intent executor, apply layer and the executor of the configured path, until SIGTERM or SIGINT.

    A stop finishes what is under way and exits 0. The first process in a data folder also runs the embedded log, and
    on paper the paper exchange; when it ends, another one takes its place.
    """
    if dry_run and roles and Role.SAFETY in roles:
        raise click.UsageError(
            "the safety controller acts under a freeze only; there is nothing of it to rehearse"
        )
    if parent_death is not None:
        die_with_parent(parent_death)

    async def command() -> Exit:
        config = load(options)
        need_secrets(config)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with opened(options, "run", may_start=True, patient=stop, dry_run=dry_run) as session:
            wanted = roles or default_roles(config.execution.path, config.harvest_brain)
            return Exit(
                await running.run(session, wanted, stop, accept_everysec=config.redis.accept_everysec)
            )

    exits.run(command)
