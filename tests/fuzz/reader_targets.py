"""What must hold for any bytes given to the readers of configs, metafiles, pages and wheels: a function for each.

They end in a value or in their own typed error, run nothing of what they read (`watch`), and what they give stays
within what they promise. Each returns whether the input was understood.
"""

from __future__ import annotations

import io
import json

from tests.fuzz.watch import Broken, watched
from zoo_cli.models.config_errors import ConfigError
from zoo_cli.models.configpaths import ConfigPaths
from zoo_cli.models.configs import ConfigTree
from zoo_cli.models.metafile import Metafile, read_metafiles
from zoo_cli.models.safe_yaml import UnreadableYaml, read_yaml
from zoo_cli.models.writer import CannotWrite, write_flat
from zoo_cli.packages.findlinks import MAX_ADDRESS, NotAListing, is_file_name, read_links
from zoo_cli.trust.wheel import UnreadableWheel, look_into

PAGE = "https://host.example/whl/cpu/index.html"
_BASE = "model = dict(type='Base', depth=50, list=[1, dict(a=2)])\nlr = 0.1\n"


def check_config(data: bytes) -> bool:
    """A config in Python, JSON or YAML; with a base beside it that it may name."""
    kind, _, body = data.partition(b"\n")
    name = {b"#json": "x.json", b"#yaml": "x.yaml"}.get(kind, "x.py")
    files = {f"configs/{name}": body if name != "x.py" else data, "configs/base.py": _BASE.encode()}
    tree = ConfigTree(lambda path: files.get(path))
    with watched():
        try:
            flat = tree.flatten(f"configs/{name}")
        except ConfigError:
            return False
        try:
            text = write_flat(flat)
        except CannotWrite:
            return False
    if len(text.encode()) > tree.limits.file_bytes:
        return True  # many bases make one file that is over the limit of one file
    files["configs/again.py"] = text.encode()
    with watched():
        again = ConfigTree(lambda path: files.get(path)).flatten("configs/again.py")
    if repr(sorted(again.settings.items())) != repr(sorted(flat.settings.items())):
        raise Broken(f"what was written reads back as something else:\n{flat.settings!r}\n{again.settings!r}")
    return True


def check_metafile(data: bytes) -> bool:
    """A metafile in YAML."""
    with watched():
        try:
            document = read_yaml(data)
        except UnreadableYaml:
            return False
        records = read_metafiles([Metafile("configs/a/metafile.yml", document)], ConfigPaths(["configs/a/a.py"]))
    json.dumps(document.value)
    for model in records.models:
        if not model.name or len(model.name) > 5000:
            raise Broken(f"a model named {model.name!r}")
    return bool(records.models)


def check_page(data: bytes) -> bool:
    """A find-links page or one of the simple index, in HTML or JSON."""
    with watched():
        try:
            links = read_links(data, PAGE, "application/json" if data[:1] == b"{" else "text/html")
        except NotAListing:
            return False
    for link in links:
        if not is_file_name(link.filename) or len(link.url) > MAX_ADDRESS:
            raise Broken(f"{link!r}")
        if not link.url.startswith(("https://", "http://")):  # a page of a server names no file of this computer
            raise Broken(f"{link.url!r} on {PAGE}")
    return bool(links)


def check_wheel(data: bytes) -> bool:
    """A wheel."""
    with watched():
        try:
            report = look_into("tiny-1.0-py3-none-any.whl", io.BytesIO(data))
        except UnreadableWheel:
            return False
    return not report.fatal


TARGETS = {"config": check_config, "metafile": check_metafile, "page": check_page, "wheel": check_wheel}
