"""``new-config`` and ``show-config``."""

import json
import tomllib
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from sureclose import config as configuration
from sureclose.cli import exits
from sureclose.cli.codes import Exit
from sureclose.cli.options import Options
from sureclose.cli.session import load
from sureclose.config import Config, ConfigError

_REMARKS: Final = {
    "redis": "The log: a Redis >= 7.0 or Valkey with appendfsync always, or our own.",
    "redis.url": 'redis://, rediss://, unix://, redis+sentinel://host:port,host:port/service, or "embedded": a Valkey of our own in data.dir',
    "redis.accept_everysec": "accept that a power cut may lose up to two seconds of the log",
    "streams": "How the streams and groups are called.",
    "streams.intents": "harvest.intent or trade.intent: what the intent executor reads",
    "venue": "The exchange. Keys come from SURECLOSE__VENUE__API_KEY and SURECLOSE__VENUE__API_SECRET (or ..._FILE).",
    "venue.environment": "paper, demo or live",
    "venue.base_url": "overrides the environment's own, e.g. http://127.0.0.1:8080",
    "venue.stream_url": "e.g. ws://127.0.0.1:8080, without a path",
    "venue.recv_window_ms": "how long after its timestamp the venue may still accept an order",
    "execution": "The close engine.",
    "execution.path": "1A or 1B: whose the first grant on paper is, and who executes warrants while nobody holds one",
    "execution.max_age_s": "how old an approval without expires_at may be when it is taken in",
    "harvest_brain": "PATH 1A.",
    "harvest_brain.executor": "engine, or execution_service: approvals are handed over to it on trade.intent",
    "authority": "When a controller has stopped proving itself, and what evidence counts.",
    "authority.absence_s": "seconds without a valid lease after which the account is frozen",
    "authority.map_file": "the authority map document, rewritten by each audit that passes",
    "journal": "how long finished closes stay in the log before they go to data.dir/segments, and how long streams get",
    "http": "/ping /health /ready /metrics, and /v1 for closes. `sureclose token new NAME` makes [[http.tokens]], which go last here.",
    "http.port": "0 takes a free one and prints it",
    "http.token": "of a machine that may do everything; better are tokens with a name and scopes",
    "hooks": "Who may post alerts to /v1/hooks/NAME, each in a table of its own: docs/webhooks.md.",
    "alerts": "Where alarms go.",
    "compat": "What older producers mean.",
    "compat.execute_is_approval": "whether decision=EXECUTE approves a close",
    "data": "The folder of the embedded log, the paper exchange and the evidence.",
    "paper": "The paper exchange that run and prove start when venue.base_url is empty.",
    "paper.positions": 'e.g. ["ETHUSDT=0.5@2400"]; only a fresh data folder takes them',
}
_EXAMPLES: Final = {
    "hooks": (
        "[hooks.tradingview]",
        'secret_in = "body:secret"           # SURECLOSE__HOOKS__TRADINGVIEW__SECRET says it; or query:NAME, header:NAME, hmac-sha256:HEADER',
        'symbol = "$.ticker"                 # a text that begins with $ is a place in the alert',
        'fraction = "$.fraction"             # or quantity; neither closes all of the position',
        'timestamp = "$.time"                # one older than max_age_s = 60 is a replay',
        'identity = ["$.ticker", "$.time"]   # what makes two alerts one; without it, all that they say',
        'when = [{ path = "$.action", accept = ["close"] }]',
        "[hooks.tradingview.symbols]",
        '"BINANCE:ETHUSDT.P" = "ETHUSDT"',
    )
}
"""Of sections that are empty until somebody fills them."""
_ALWAYS: Final = frozenset(key for key in _REMARKS if "." in key)
"""Keys that stand in the file; the others stand there as comments."""


def template() -> str:
    """A configuration with every key and its default, made from the code that reads it."""
    lines = ["# Sureclose. SURECLOSE__SECTION__KEY in the environment wins over this file."]
    for section, values in msgspec.to_builtins(Config()).items():
        lines += ["", f"# {_REMARKS[section]}", f"[{section}]"]
        for key, value in values.items():
            name = f"{section}.{key}"
            line = f"{key} = {_toml(value)}"
            if value is None:
                lines.append(f'# {key} = ""')
            elif name in _ALWAYS:
                lines.append(f"{line:<40} # {_REMARKS[name]}" if name in _REMARKS else line)
            else:
                lines.append(f"# {line}")
        lines += [f"# {line}" for line in _EXAMPLES.get(section, ())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """Texts, numbers, booleans and lists of texts JSON writes as TOML does; tables in a line have their own form."""
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)


@click.command("new-config")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default=configuration.DEFAULT_FILE)
def new_config(file: Path) -> None:
    """Write a configuration to FILE (./sureclose.toml), with every key and its default."""

    async def command() -> Exit:
        text = template()
        tomllib.loads(text)
        try:
            with file.open("x") as stream:
                stream.write(text)
        except FileExistsError:
            raise ConfigError(f"{file} exists already; name another file, or remove it") from None
        except OSError as error:
            raise ConfigError(f"{file}: {error.strerror}") from None
        click.echo(f"wrote {file}")
        return Exit.DONE

    exits.run(command)


@click.command("show-config")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def show_config(options: Options, *, as_json: bool) -> None:
    """The configuration as it is in effect, from files and environment, secrets masked."""

    async def command() -> Exit:
        config = load(options)
        shown = configuration.shown(config)
        keys = configuration.credentials()
        shown["venue"]["api_key"] = "set" if keys is not None else "not set"
        if as_json:
            exits.print_json(shown)
            return Exit.DONE
        for name, hook in shown.pop("hooks").items():
            shown[f"hooks.{name}"] = hook
        for section, values in shown.items():
            click.echo(f"[{section}]")
            for key, value in values.items():
                click.echo(f"{key} = {_toml(value) if value is not None else '(default)'}")
            click.echo()
        return Exit.DONE

    exits.run(command)
