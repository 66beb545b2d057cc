"""Commands that end: each returns the object that the command prints with ``--json``."""

from __future__ import annotations

from typing import Any, Optional

from weightfs._program import Option, StrPath, run_for_json


def pack(src: StrPath, dst: Optional[StrPath] = None, **options: Option) -> dict[str, Any]:
    """Compress a file (to ``SRC.wfz``) or a model directory (to ``dst``).

    Returns at least ``original_bytes``, ``stored_bytes``, ``ratio`` and ``seconds``. With ``dry_run=True``,
    which writes nothing, ``expected_bytes`` is there instead of ``stored_bytes`` and ``seconds``. Raises
    ``Error`` if something could not be packed; ``Error.result`` tells what was.
    """
    return run_for_json("pack", {"output": dst, **options}, src)


def unpack(src: StrPath, dst: Optional[StrPath] = None, **options: Option) -> dict[str, Any]:
    """Restore the original file from an archive, or a model directory from a directory of archives."""
    return run_for_json("unpack", {"output": dst, **options}, src)


def inspect(path: StrPath) -> dict[str, Any]:
    """Tell what an archive holds: its tensors, how each is stored, the ratio."""
    return run_for_json("inspect", {}, path)


def verify(*paths: StrPath, **options: Option) -> dict[str, Any]:
    """Decode archives, or directories of them, and check every checksum.

    Raises ``Error`` if anything is damaged: ``Error.status`` is 1 then, and ``Error.result`` lists it.
    """
    return run_for_json("verify", options, *paths)
