"""The configuration: TOML files, later ones first, under ``SURECLOSE__SECTION__KEY`` of the environment.

API key and secret never stand in a file of the configuration: they come from the environment, from a file that the
environment names, or from systemd's credentials.
"""

import os
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from sureclose.services.settings import (
    AlertSettings,
    AuthoritySettings,
    CompatSettings,
    ExecutionSettings,
    HarvestBrainSettings,
    HarvestExecutor,
    HttpSettings,
    JournalSettings,
    StreamSettings,
)
from sureclose.services.settings_harvest import HarvestSettings
from sureclose.services.settings_hooks import (
    HookSettings,
    SecretFileUnreadable,
    check_hooks,
    check_secrets,
    secret_of_file,
)
from sureclose.streams.address import masked
from sureclose.streams.connection import LogSettings
from sureclose.streams.names import StreamName
from sureclose.venue.environments import VenueSettings
from sureclose.venue.secret import MASK, Credentials, Secret

ENVIRONMENT_PREFIX: Final = "SURECLOSE__"
DEFAULT_FILE: Final = "sureclose.toml"
BY_DEFAULT: Final = "default"
"""The source of a value that nobody set."""
_SECRETS: Final = {"api_key": "SURECLOSE__VENUE__API_KEY", "api_secret": "SURECLOSE__VENUE__API_SECRET"}


class ConfigError(Exception):
    """The configuration can't be used; the message says which part and what to do."""


class DataSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[data]``: the folder of the embedded log, of the paper exchange, and of evidence."""

    dir: str = "./sureclose-data"


class PaperOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[paper]``: the paper exchange that ``run`` and ``prove`` start when no ``venue.base_url`` is set."""

    positions: tuple[str, ...] = ()
    """Such as ``ETHUSDT=0.5@2400``; only a fresh data folder takes them."""
    symbols: int = 0
    limits: str = "off"
    seed: int = 1


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be configured, validated."""

    redis: LogSettings = LogSettings()
    streams: StreamSettings = StreamSettings()
    venue: VenueSettings = VenueSettings()
    execution: ExecutionSettings = ExecutionSettings()
    harvest_brain: HarvestBrainSettings = HarvestBrainSettings()
    harvest: HarvestSettings = HarvestSettings()
    authority: AuthoritySettings = AuthoritySettings()
    journal: JournalSettings = JournalSettings()
    http: HttpSettings = HttpSettings()
    hooks: dict[str, HookSettings] = {}
    alerts: AlertSettings = AlertSettings()
    compat: CompatSettings = CompatSettings()
    data: DataSettings = DataSettings()
    paper: PaperOptions = PaperOptions()

    def __post_init__(self) -> None:
        check_hooks(self.hooks)
        hands_over = self.harvest_brain.executor is HarvestExecutor.EXECUTION_SERVICE
        if hands_over and self.streams.intents is StreamName.TRADE_INTENT:
            raise ValueError(
                'harvest_brain.executor = "execution_service" writes approvals to trade.intent, and streams.intents reads '
                'wishes there: set streams.intents = "harvest.intent", or harvest_brain.executor = "engine"'
            )

    @property
    def account(self) -> str:
        """The account in keys and ids: environments never share one."""
        return f"{self.venue.environment}:{self.venue.account}"

    @property
    def data_dir(self) -> Path:
        return Path(self.data.dir).expanduser().resolve()


def load(files: Sequence[Path] = (), environment: Mapping[str, str] | None = None) -> Config:
    """The configuration from files and environment; without files, ``sureclose.toml`` in this folder if it is there.

    Raises ``ConfigError``.
    """
    environment = os.environ if environment is None else environment
    merged: dict[str, Any] = {}
    for file in _chosen(files):
        _merge(merged, _read(file))
    _merge(merged, _from_environment(environment))
    try:
        _read_secrets(merged.get("hooks"))
        return msgspec.convert(merged, Config, strict=False)
    except (msgspec.ValidationError, SecretFileUnreadable) as error:
        raise ConfigError(f"{error}; `sureclose new-config` shows every key and its default") from None


def need_secrets(config: Config) -> None:
    """Raises ``ConfigError`` for a hook that anybody could close through."""
    try:
        check_secrets(config.hooks)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def source(
    files: Sequence[Path], section: str, key: str, environment: Mapping[str, str] | None = None
) -> str:
    """Where a value was taken from: the variable, the last file that has it, or the default."""
    environment = os.environ if environment is None else environment
    variable = f"{ENVIRONMENT_PREFIX}{section}__{key}".upper()
    if variable in environment:
        return variable
    for file in reversed(_chosen(files)):
        if key in _read(file).get(section, {}):
            return str(file)
    return BY_DEFAULT


def credentials(environment: Mapping[str, str] | None = None) -> Credentials | None:
    """Key and secret of the venue, or ``None`` when neither is given; raises ``ConfigError`` when one is missing."""
    environment = os.environ if environment is None else environment
    found = {name: _secret(name, variable, environment) for name, variable in _SECRETS.items()}
    missing = [name for name, value in found.items() if not value]
    if len(missing) == len(found):
        return None
    if missing:
        raise ConfigError(f"set {_SECRETS[missing[0]]} as well: key and secret belong together")
    return Credentials(Secret(found["api_key"]), Secret(found["api_secret"]))


def shown(config: Config) -> dict[str, Any]:
    """The configuration as plain values, secrets masked."""
    plain: dict[str, Any] = msgspec.to_builtins(config)
    plain["redis"]["url"] = masked(config.redis.url)
    for section, key in (("http", "token"), ("alerts", "webhook_url")):
        if plain[section][key]:
            plain[section][key] = MASK
    for token in plain["http"]["tokens"]:
        token["sha256"] = MASK
    for hook in plain["hooks"].values():
        hook["secret"] = MASK
    return plain


def _chosen(files: Sequence[Path]) -> Sequence[Path]:
    return files if files or not Path(DEFAULT_FILE).is_file() else [Path(DEFAULT_FILE)]


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            read = tomllib.load(stream)
    except FileNotFoundError:
        raise ConfigError(f"{file} does not exist; write one with `sureclose new-config {file}`") from None
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from None
    for name in _SECRETS:
        if name in read.get("venue", {}):
            raise ConfigError(f"{file}: venue.{name} does not belong in a file; set {_SECRETS[name]}")
    return read


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable, text in environment.items():
        name = variable.removesuffix("_FILE")
        if not variable.startswith(ENVIRONMENT_PREFIX) or name in _SECRETS.values():
            continue
        *sections, key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        if not sections or not all((*sections, key)):
            raise ConfigError(f"{variable} is not of the form {ENVIRONMENT_PREFIX}SECTION__KEY")
        value: Any = _value(text)
        for name in reversed((*sections, key)):
            value = {name: value}
        _merge(found, value)
    return found


def _read_secrets(hooks: Any) -> None:
    """Fill in the secrets of hooks that stand in files of their own."""
    for name, hook in hooks.items() if isinstance(hooks, dict) else ():
        file = hook.get("secret_file") if isinstance(hook, dict) else None
        if isinstance(file, str) and file and not hook.get("secret"):
            with suppress(SecretFileUnreadable):  # which is said where the secret is needed
                hook["secret"] = secret_of_file(name, file)


def _value(text: str) -> Any:
    """A list as TOML writes it, anything else as it stands; its type is judged with the rest."""
    if text.startswith("["):
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            return text
    return text


def _secret(name: str, variable: str, environment: Mapping[str, str]) -> str:
    if environment.get(variable):
        return environment[variable].strip()
    file = environment.get(f"{variable}_FILE")
    if not file and (folder := environment.get("CREDENTIALS_DIRECTORY")):
        candidate = Path(folder) / f"venue_{name}"
        file = str(candidate) if candidate.is_file() else None
    if not file:
        return ""
    try:
        return Path(file).read_text().strip()
    except OSError as error:
        raise ConfigError(f"{variable}_FILE: {error}") from None
