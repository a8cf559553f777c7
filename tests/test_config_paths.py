"""What a configuration of the two paths may not be, and how the choice of one changes its file."""

import tomllib

import msgspec
import pytest

from sureclose.config import Config, ConfigError, load
from sureclose.operate.toml_change import with_key
from sureclose.services.routes import default_roles, executors, readers
from sureclose.services.settings import HarvestBrainSettings, HarvestExecutor, Path, Role, StreamSettings
from sureclose.streams.names import StreamName

HANDS_OVER = HarvestBrainSettings(executor=HarvestExecutor.EXECUTION_SERVICE)


def test_approvals_are_not_handed_over_where_wishes_are_read() -> None:
    with pytest.raises(ConfigError, match="reads wishes there"):
        load(
            environment={
                "SURECLOSE__HARVEST_BRAIN__EXECUTOR": "execution_service",
                "SURECLOSE__STREAMS__INTENTS": "trade.intent",
            }
        )


def test_two_paths_do_not_share_a_group() -> None:
    with pytest.raises(ConfigError, match="must differ"):
        load(environment={"SURECLOSE__STREAMS__EXECUTION_GROUP": "harvest_brain:execution"})


@pytest.mark.parametrize(
    ("path", "harvest", "roles", "groups"),
    [
        (Path.EXECUTION_SERVICE, HarvestBrainSettings(), [Role.EXECUTION], ["execution_service_exits"]),
        (Path.EXECUTION_SERVICE, HANDS_OVER, [Role.EXECUTION], ["execution_service_exits"]),
        (Path.HARVEST_BRAIN, HarvestBrainSettings(), [Role.HARVEST_BRAIN], ["harvest_brain:execution"]),
        (
            Path.HARVEST_BRAIN,
            HANDS_OVER,
            [Role.HARVEST_BRAIN, Role.EXECUTION],
            ["harvest_brain:execution", "execution_service_handover"],
        ),
    ],
)
def test_a_path_has_its_roles_and_its_groups(
    path: Path, harvest: HarvestBrainSettings, roles: list[Role], groups: list[str]
) -> None:
    assert list(default_roles(path, harvest)) == [Role.INTENT_EXECUTOR, Role.APPLY_LAYER, *roles]
    assert list(readers(StreamSettings(), harvest, path).values()) == groups


@pytest.mark.parametrize(
    ("harvest", "source"),
    [(HarvestBrainSettings(), StreamName.APPLY_RESULT), (HANDS_OVER, StreamName.TRADE_INTENT)],
)
def test_one_route_executes_for_each_component(harvest: HarvestBrainSettings, source: StreamName) -> None:
    exits, brain = executors(StreamSettings(), harvest)
    assert (exits.path, brain.path) == (Path.EXECUTION_SERVICE, Path.HARVEST_BRAIN)
    assert brain.source is source
    assert (exits.source, exits.group) != (brain.source, brain.group)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[execution]\n",
        '# all\n[venue]\naccount = "main"\n\n[execution] # ours\npath = "1B" # since May\nmax_age_s = 30\n[http]\nport = 1\n',
        '[execution]\n# path = "1B"\nmax_age_s = 30\n',
        "[execution]\npath='1A'\n",
        "[http]\nport = 1\n",
    ],
)
def test_the_choice_changes_one_key_and_nothing_else(text: str) -> None:
    changed = with_key(text, "execution", "path", "1A")
    before, after = tomllib.loads(text), tomllib.loads(changed)
    assert after["execution"].pop("path") == "1A"
    before.get("execution", {}).pop("path", None)
    assert after == {"execution": {}, **before}
    assert msgspec.convert(tomllib.loads(changed), Config).execution.path is Path.HARVEST_BRAIN
    assert with_key(changed, "execution", "path", "1A") == changed
    for line in text.splitlines():
        assert line in changed or line.lstrip().startswith("path")
