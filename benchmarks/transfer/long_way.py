"""A long path in user space: two TUN devices, and a process that carries packets between them late and not too fast.

What runs on it is the kernel's own TCP, handshakes, slow start and windows included; only the wire is ours. It works
where the kernel has no netem. Its limits: packets of 9,000 bytes, since Python carries some 30,000 packets a second and
not 80,000; so the first window is two packets (18 kB; usual are ten of 1,448 bytes). No packet is lost or reordered
unless 30 MB wait in one direction. The carrier takes a good third of a core from whoever is measured.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys
import time
from collections import deque
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MTU = 9000
_QUEUE_BYTES = 30_000_000
_TUNSETIFF, _TUN, _NO_PACKET_INFO = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h


def can_carry() -> bool:
    """Whether this process may make devices and networks (root, and a kernel with TUN)."""
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError:
        return False
    return os.geteuid() == 0


@contextmanager
def long_way(delay_seconds: float, bytes_per_second: int) -> Iterator[tuple[str, list[str]]]:
    """A network behind a long path: the address of this side, and the words that run a command on the other.

    Args:
        delay_seconds: One way.
        bytes_per_second: In each direction.
    """
    tag = os.getpid() % 60000
    name, ours, theirs, net = f"zoo-{tag}", f"zt{tag}a", f"zt{tag}b", f"10.{200 + tag % 50}.{tag % 250}"
    argv = [sys.executable, str(Path(__file__)), ours, theirs, str(delay_seconds), str(bytes_per_second)]
    carrier = subprocess.Popen(argv, stdout=subprocess.PIPE)
    try:
        assert carrier.stdout is not None
        carrier.stdout.readline()  # the devices are there
        _ip("netns", "add", name)
        _ip("link", "set", theirs, "netns", name)
        for words, device, own, other in (([], ours, 1, 2), (["-n", name], theirs, 2, 1)):
            _ip(*words, "addr", "add", f"{net}.{own}", "peer", f"{net}.{other}", "dev", device)
            _ip(*words, "link", "set", device, "up", "mtu", str(MTU), "txqueuelen", "20000")
            _ip(*words, "route", "replace", f"{net}.{other}", "dev", device, "initcwnd", "2")
        yield f"{net}.1", ["ip", "netns", "exec", name]
    finally:
        carrier.kill()
        carrier.communicate()
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


class Direction:
    """Packets on their way from one device to the other."""

    def __init__(self, source: int, target: int, delay_seconds: float, bytes_per_second: int) -> None:
        self.source, self.target = source, target
        self._delay, self._rate = delay_seconds, bytes_per_second
        self._free_at = 0.0  # when the wire has sent what it took
        self._bytes = 0
        self._packets: deque[tuple[float, bytes]] = deque()

    def take(self) -> None:
        """Reads what was sent."""
        try:
            for _ in range(64):
                packet = os.read(self.source, 65536)
                if self._bytes + len(packet) > _QUEUE_BYTES:
                    continue  # as a full router does
                self._free_at = max(self._free_at, time.monotonic()) + len(packet) / self._rate
                self._packets.append((self._free_at + self._delay, packet))
                self._bytes += len(packet)
        except BlockingIOError:
            return

    def give(self) -> None:
        """Delivers what is due."""
        now = time.monotonic()
        while self._packets and self._packets[0][0] <= now:
            _due, packet = self._packets.popleft()
            self._bytes -= len(packet)
            try:
                os.write(self.target, packet)
            except OSError:
                continue  # its device is not up yet, or full: the packet is lost

    def seconds_left(self) -> float | None:
        """Until the next is due; None when none is on its way."""
        return max(0.0, self._packets[0][0] - time.monotonic()) if self._packets else None


def _device(name: str) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TUN | _NO_PACKET_INFO))
    return fd


def carry(first: str, second: str, delay_seconds: float, bytes_per_second: int) -> None:
    """Runs as a child until it is killed; says so when the devices are there."""
    one, other = _device(first), _device(second)
    print("ready", flush=True)
    both = [Direction(*ends, delay_seconds, bytes_per_second) for ends in ((one, other), (other, one))]
    poll = select.epoll()
    for each in both:
        poll.register(each.source, select.EPOLLIN)
    while True:
        waits = [left for each in both if (left := each.seconds_left()) is not None]
        poll.poll(min(waits) if waits else None)
        for each in both:
            each.take()
            each.give()


if __name__ == "__main__":
    carry(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
