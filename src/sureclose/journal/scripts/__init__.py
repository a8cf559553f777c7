"""The scripts that run inside the log: what they touch changes together or not at all."""

from importlib.resources import files

from sureclose.streams.script import Script


def load(name: str, *, fenced: bool = True) -> Script:
    """One script by its file's name, with the checks in front that all share but those that only read."""
    here = files(__name__)
    fence = (here / "fence.lua").read_text() if fenced else ""
    return Script(fence + (here / f"{name}.lua").read_text())
