"""Faults between any two file operations of a command and of all its children, on real file systems.

A small library is loaded before the C library (LD_PRELOAD) into zoo, uv, pip and the ops check alike. It counts every
operation that changes something below a directory, in one counter for all of them, and at a chosen one kills, or
refuses:

    fault = Faults(tmp_path / "fault", below=tmp_path / "work")
    ran = fault.run(argv, environ, kill_at=17)       # zoo and the process that was about to do it end by SIGKILL
    ran = fault.run(argv, environ, refuse="link")    # every hard link is refused (EPERM), as some file systems do
    ran = fault.run(argv, environ, full_at=17)       # from the 17th on nothing can be created: ENOSPC
    fault.count                                      # how many there were
"""

from __future__ import annotations

import signal
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.libraries import compile_library

CODE = r"""
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
namespace {
struct Control { int count, kill_at, kill_root, refuse_links, full_at, root; } *control;
const char *below;
size_t length;
__attribute__((constructor)) void begin() {
    const char *path = getenv("ZOO_TEST_FAULT");
    below = getenv("ZOO_TEST_BELOW");
    if (!path || !below) return;
    length = strlen(below);
    auto next = reinterpret_cast<decltype(&open)>(dlsym(RTLD_NEXT, "open"));
    int file = next(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *map = mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (map == MAP_FAILED) return;
    control = static_cast<Control *>(map);
    __sync_bool_compare_and_swap(&control->root, 0, getpid());
}
bool counts(int directory, const char *path) {
    if (!control || !path) return false;
    if (path[0] == '/') return !strncmp(path, below, length);
    char link[64], where[PATH_MAX];
    if (directory == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    ssize_t size = readlink(link, where, sizeof where - 1);
    if (size < 0) return false;
    where[size] = 0;
    return !strncmp(where, below, length);
}
enum Kind { CHANGE, CREATE, LINK };
bool refused(int directory, const char *path, Kind kind) {
    if (!counts(directory, path)) return false;
    int number = __sync_add_and_fetch(&control->count, 1);
    if (control->kill_at == number) {
        int own = getpid(), root = control->root;
        if (root && root != own) kill(root, SIGKILL);
        if (root == own || !control->kill_root) kill(own, SIGKILL);
    }
    if (kind == LINK && control->refuse_links) { errno = EPERM; return true; }
    if (kind != CHANGE && control->full_at && number >= control->full_at) { errno = ENOSPC; return true; }
    return false;
}
template <class F> F real(const char *name) { return reinterpret_cast<F>(dlsym(RTLD_NEXT, name)); }
}
#define REAL(name) static auto next = real<decltype(&name)>(#name)
#define WRITES (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)
#define MODE mode_t mode = 0; if (flags & (O_CREAT | O_TMPFILE)) { \
    va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); }
#define KIND ((flags & O_CREAT) ? CREATE : CHANGE)
extern "C" {
int open(const char *path, int flags, ...) { REAL(open); MODE
    return (flags & WRITES) && refused(AT_FDCWD, path, KIND) ? -1 : next(path, flags, mode); }
int open64(const char *path, int flags, ...) { REAL(open64); MODE
    return (flags & WRITES) && refused(AT_FDCWD, path, KIND) ? -1 : next(path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { REAL(openat); MODE
    return (flags & WRITES) && refused(at, path, KIND) ? -1 : next(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { REAL(openat64); MODE
    return (flags & WRITES) && refused(at, path, KIND) ? -1 : next(at, path, flags, mode); }
int rename(const char *a, const char *b) noexcept { REAL(rename);
    return refused(AT_FDCWD, b, CHANGE) ? -1 : next(a, b); }
int renameat(int x, const char *a, int y, const char *b) noexcept { REAL(renameat);
    return refused(y, b, CHANGE) ? -1 : next(x, a, y, b); }
int link(const char *a, const char *b) noexcept { REAL(link);
    return refused(AT_FDCWD, b, LINK) ? -1 : next(a, b); }
int linkat(int x, const char *a, int y, const char *b, int flags) noexcept { REAL(linkat);
    return refused(y, b, LINK) ? -1 : next(x, a, y, b, flags); }
int symlink(const char *a, const char *b) noexcept { REAL(symlink);
    return refused(AT_FDCWD, b, CREATE) ? -1 : next(a, b); }
int unlink(const char *path) noexcept { REAL(unlink);
    return refused(AT_FDCWD, path, CHANGE) ? -1 : next(path); }
int unlinkat(int at, const char *path, int flags) noexcept { REAL(unlinkat);
    return refused(at, path, CHANGE) ? -1 : next(at, path, flags); }
int mkdir(const char *path, mode_t mode) noexcept { REAL(mkdir);
    return refused(AT_FDCWD, path, CREATE) ? -1 : next(path, mode); }
int mkdirat(int at, const char *path, mode_t mode) noexcept { REAL(mkdirat);
    return refused(at, path, CREATE) ? -1 : next(at, path, mode); }
int rmdir(const char *path) noexcept { REAL(rmdir);
    return refused(AT_FDCWD, path, CHANGE) ? -1 : next(path); }
int chmod(const char *path, mode_t mode) noexcept { REAL(chmod);
    return refused(AT_FDCWD, path, CHANGE) ? -1 : next(path, mode); }
}
"""


class Faults:
    """The library and its counter."""

    def __init__(self, directory: Path, below: Path) -> None:
        self._library = compile_library(directory, "fault.so", CODE, "-ldl", "-D_GNU_SOURCE", "-w")
        self._control, self._below = directory / "control", below

    def run(
        self,
        argv: Sequence[str],
        environ: Mapping[str, str],
        *,
        kill_at: int = 0,
        only_root: bool = False,
        refuse_links: bool = False,
        full_at: int = 0,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command under a fault.

        Args:
            argv: the command; the first process of all is the one that is killed.
            environ: its environment.
            kill_at: the number of the operation before which it is killed.
            only_root: the child that is about to do it lives on.
            refuse_links: hard links are refused.
            full_at: from this operation on nothing can be created.
        """
        self._control.write_bytes(struct.pack("6i", 0, kill_at, only_root, refuse_links, full_at, 0))
        ours = {
            "LD_PRELOAD": str(self._library),
            "ZOO_TEST_FAULT": str(self._control),
            "ZOO_TEST_BELOW": str(self._below),
        }
        done = subprocess.run(
            argv, env={**environ, **ours}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
        )
        assert kill_at == 0 or done.returncode in (-signal.SIGKILL, 0), done.stderr
        return done

    @property
    def count(self) -> int:
        """Operations of the last run."""
        found: int = struct.unpack("6i", self._control.read_bytes())[0]
        return found
