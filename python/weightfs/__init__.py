"""Model weights that are compressed on disk, as ordinary files.

    import weightfs

    weightfs.pack("model.safetensors")                      # makes model.safetensors.wfz
    with weightfs.mount("models") as path:                  # a directory of archives
        load(path / "model.safetensors")                    # unmounted at the end of the block

Each function runs the command of the same name; its options are keywords, with underscores
(``cache_size="1G"`` is ``--cache-size=1G``). ``weightfs COMMAND --help`` tells what there is. Whatever
goes wrong is a ``weightfs.Error`` with the program's message.
"""

from weightfs._commands import inspect, pack, unpack, verify
from weightfs._mount import mount
from weightfs._program import Error, Option, StrPath

__all__ = ["Error", "Option", "StrPath", "inspect", "mount", "pack", "unpack", "verify"]
