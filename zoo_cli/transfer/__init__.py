"""Bytes from somewhere to a verified file.

What other programs may use, imported when it is first asked for (PEP 562); see docs/fetch.md:

    from zoo_cli import transfer

    wanted = transfer.Wanted("model.pth", ("https://host/model.pth", "https://mirror/model.pth"), sha256=DIGEST)
    received = transfer.fetch_file(wanted, Path("models/model.pth"), store=transfer.users_store())
"""

TYPE_CHECKING = False  # as type checkers have it; `typing` itself would be imported for nothing
if TYPE_CHECKING:
    from zoo_cli.transfer.batch import Job, Outcome, fetch_many
    from zoo_cli.transfer.events import Advanced, Finished, Noted, SourceFailed, Started
    from zoo_cli.transfer.failures import AllSourcesFailed, Failed
    from zoo_cli.transfer.fetch import Received
    from zoo_cli.transfer.fetch import fetch as fetch_file
    from zoo_cli.transfer.hashes import parse_sha256
    from zoo_cli.transfer.mirrors import load_mirrors
    from zoo_cli.transfer.remote import RemoteFile
    from zoo_cli.transfer.settings import Proxies, Settings
    from zoo_cli.transfer.sources import Wanted
    from zoo_cli.transfer.store import Store, users_store
    from zoo_cli.transfer.throttle import Throttle

__all__ = [
    "Advanced",
    "AllSourcesFailed",
    "Failed",
    "Finished",
    "Job",
    "Noted",
    "Outcome",
    "Proxies",
    "Received",
    "RemoteFile",
    "Settings",
    "SourceFailed",
    "Started",
    "Store",
    "Throttle",
    "Wanted",
    "fetch_file",
    "fetch_many",
    "load_mirrors",
    "parse_sha256",
    "users_store",
]

_MODULES = {
    "batch": ("Job", "Outcome", "fetch_many"),
    "events": ("Advanced", "Finished", "Noted", "SourceFailed", "Started"),
    "failures": ("AllSourcesFailed", "Failed"),
    "fetch": ("Received", "fetch_file"),
    "hashes": ("parse_sha256",),
    "mirrors": ("load_mirrors",),
    "remote": ("RemoteFile",),
    "settings": ("Proxies", "Settings"),
    "sources": ("Wanted",),
    "store": ("Store", "users_store"),
    "throttle": ("Throttle",),
}


def __getattr__(name: str) -> object:
    """Imports a public name when it is first asked for."""
    from importlib import import_module

    for module, names in _MODULES.items():
        if name in names:
            # `zoo_cli.transfer.fetch` is the module, so the function has another name here.
            return getattr(import_module(f"{__name__}.{module}"), {"fetch_file": "fetch"}.get(name, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
