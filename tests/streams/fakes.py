"""Stand-ins for a server's binary."""

from pathlib import Path


def fake_binary(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)
