"""The program: where it is, what it is told, and what it says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from typing import Any, Optional, Union

#: A path: text, or bytes as `os.fsencode` makes them.
StrPath = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]
#: What an option may be given: ``True`` for one without a value, a sequence for one that is given
#: several times. ``None`` and ``False`` leave it out.
Option = Union[None, bool, int, float, StrPath, Sequence[Union[int, float, StrPath]]]


class Error(Exception):
    """What the program says went wrong.

    ``status`` is its exit status: 1 if damage was found, 2 for another error, ``None`` if it could not be
    run. ``result`` is what it printed as JSON all the same: which archives are damaged, which files failed.
    """

    def __init__(
        self, message: str, status: Optional[int] = None, result: Optional[dict[str, Any]] = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.result = result


def program() -> str:
    """The program that was installed with this package, else the one in the PATH."""
    for scripts in (sysconfig.get_path("scripts"), sysconfig.get_path("scripts", "posix_user")):
        path = os.path.join(scripts, "weightfs")
        if os.access(path, os.X_OK):
            return path
    found = shutil.which("weightfs")
    if found is None:
        raise Error(
            "the program weightfs is neither among the scripts of this Python nor in the PATH; "
            "install the package again (pip install --force-reinstall)"
        )
    return found


def arguments(options: dict[str, Option], own: str) -> list[str]:
    """Keywords as options of the command line, without the one that this package gives itself."""
    given = []
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if name == own:
            raise Error(f"{option} is given by this package already: leave {name} out")
        if value is True:
            given.append(option)
        elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
            given += [f"{option}={as_text(one)}" for one in value]
        else:
            given.append(f"{option}={as_text(value)}")
    return given


def as_text(value: Union[int, float, StrPath]) -> str:
    return os.fsdecode(value) if isinstance(value, (bytes, os.PathLike)) else str(value)


def cannot_start(error: Exception) -> Error:
    return Error(f"cannot run weightfs: {error}")


def message_of(lines: Sequence[str], command: str, status: int) -> str:
    """What the program said, without its name before each line."""
    said = "\n".join(line.rstrip().removeprefix("weightfs: ") for line in lines if line.strip())
    return said or f"weightfs {command} ended with status {status} and said nothing"


def run(command: str, options: Sequence[str], *paths: StrPath) -> str:
    """Runs a command to its end; returns what it printed."""
    given = [program(), command, *options, "--", *(os.fsdecode(path) for path in paths)]
    try:
        process = subprocess.Popen(
            given, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    # `ValueError`: a path with a zero byte.
    except (OSError, ValueError) as error:
        raise cannot_start(error) from error
    try:
        printed, said = (part.decode(errors="replace") for part in process.communicate())
    except BaseException:
        # It removes what it has begun.
        process.terminate()
        process.communicate()
        raise
    if process.returncode == 0:
        return printed
    message = message_of(said.splitlines(), command, process.returncode)
    raise Error(message, process.returncode, object_in(printed))


def object_in(text: str) -> Optional[dict[str, Any]]:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def run_for_json(command: str, options: dict[str, Option], *paths: StrPath) -> dict[str, Any]:
    """Runs a command to its end; returns the object that it prints."""
    printed = run(command, ["--json", *arguments(options, own="json")], *paths)
    found = object_in(printed)
    if found is None:
        raise Error(f"weightfs {command} printed no JSON object but: {printed[:200]}")
    return found
