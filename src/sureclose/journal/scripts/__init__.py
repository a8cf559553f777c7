"""The scripts that run inside the log: what they touch changes together or not at all."""

from importlib.resources import files

from sureclose.streams.script import Script


def load(name: str) -> Script:
    """One script by its file's name, with the checks that all of them share in front."""
    here = files(__name__)
    return Script((here / "fence.lua").read_text() + (here / f"{name}.lua").read_text())
