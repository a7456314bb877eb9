"""A clock that can be moved while a program runs: a library that is loaded before the C library (LD_PRELOAD).

clock = Clock(tmp_path / "clock")
subprocess.Popen(argv, env={**os.environ, **clock.environ})
clock.move(-3600)        # it is an hour earlier now, for that program and its children
"""

from __future__ import annotations

import struct
from pathlib import Path

from tests.support.libraries import compile_library

CODE = r"""
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
namespace {
const long long *offset;
__attribute__((constructor)) void begin() {
    const char *path = getenv("ZOO_TEST_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *map = mmap(nullptr, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (map != MAP_FAILED) offset = static_cast<const long long *>(map);
}
bool is_moved(clockid_t which) { return offset && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE); }
template <class F> F real(const char *name) { return reinterpret_cast<F>(dlsym(RTLD_NEXT, name)); }
}
extern "C" {
int clock_gettime(clockid_t which, struct timespec *found) noexcept {
    static auto next = real<decltype(&clock_gettime)>("clock_gettime");
    int result = next(which, found);
    if (!result && is_moved(which)) found->tv_sec += *offset;
    return result;
}
int gettimeofday(struct timeval *found, void *zone) noexcept {
    static auto next = real<int (*)(struct timeval *, void *)>("gettimeofday");
    int result = next(found, zone);
    if (!result && offset) found->tv_sec += *offset;
    return result;
}
time_t time(time_t *found) noexcept {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (found) *found = now.tv_sec;
    return now.tv_sec;
}
}
"""


class Clock:
    """The library and the offset it adds to the time of day; file systems keep the true time, as servers do."""

    def __init__(self, directory: Path) -> None:
        self._library = compile_library(directory, "clock.so", CODE, "-ldl", "-D_GNU_SOURCE", "-w")
        self._offset = directory / "offset"
        self.move(0)

    @property
    def environ(self) -> dict[str, str]:
        """What a program needs to see this clock."""
        return {"LD_PRELOAD": str(self._library), "ZOO_TEST_CLOCK": str(self._offset)}

    def move(self, seconds: int) -> None:
        """From now on it is so much later, or earlier, than it is."""
        if not self._offset.exists():
            self._offset.write_bytes(bytes(8))
        with self._offset.open("r+b") as file:
            file.write(struct.pack("q", seconds))
