"""What stands beside a part file: a record of what its bytes are, and a map of those that did not come in order.

Edge: small files. A new record takes the place of the old one in one step, and links are not followed.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from zoo_cli.transfer.finalname import remove
from zoo_cli.transfer.mapped import new_map
from zoo_cli.transfer.ranges import MAX_MAP_BYTES, Range, read_map
from zoo_cli.transfer.resume import MAX_STATE_BYTES, State, read_state

COMPANIONS = (".json", ".json.new", ".map", ".map.new", "-link")  # what may stand beside a part file
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)


class Record:
    """The files beside one part file, whose lock the caller has.

    Attributes:
        may_exist: Whether something may stand beside the part file; nothing does when it was made just now.
    """

    def __init__(self, part_name: str) -> None:
        self._name = part_name
        self._written: State | None = None
        self.may_exist = False

    @property
    def map_path(self) -> Path:
        """Where the map stands."""
        return Path(self._name + ".map")

    def read(self) -> State | None:
        """What was written down; None for nothing, or for what is not ours."""
        data = _bytes_of(self._name + ".json", MAX_STATE_BYTES)
        self._written = None if data is None else read_state(data)
        return self._written

    def ranges(self, file_bytes: int) -> tuple[Range, ...] | None:
        """The ranges that the map tells of, in a file that has so many bytes; None: there is no map."""
        data = _bytes_of(self._name + ".map", MAX_MAP_BYTES) if self.may_exist else None
        return None if data is None else read_map(data, file_bytes)

    def write(self, state: State | None) -> None:
        """Writes down what the bytes are, unless that is done."""
        if state is None or state == self._written:
            return
        self.may_exist = True
        fresh = self._name + ".json.new"
        remove(fresh)
        with open(fresh, "xb") as file:  # never through a link
            file.write(state.to_json())
        os.replace(fresh, self._name + ".json")
        self._written = state

    def write_map(self, have: tuple[Range, ...]) -> None:
        """Has a map tell of these ranges; of none, there is no map."""
        if not have:
            remove(self._name + ".map")
        else:
            os.close(new_map(self.map_path, have))

    def remove(self) -> None:
        """Removes all that stands beside the part file."""
        if self.may_exist:
            for ending in COMPANIONS:
                remove(self._name + ending)
        self.may_exist, self._written = False, None


def _bytes_of(path: str, most: int) -> bytes | None:
    try:
        fd = os.open(path, _READ)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        return file.read(most)


@lru_cache(maxsize=1)
def boot() -> str | None:
    """Which start of the machine this is, as Linux names it (proc_sys_kernel(5), boot_id); None elsewhere."""
    data = _bytes_of("/proc/sys/kernel/random/boot_id", 100)
    return None if data is None else data.decode("ascii", "replace").strip()
