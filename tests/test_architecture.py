"""The house plan, held by the import graph: rooms import one way, edges are named, terminal libraries stay in cli."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "zoo_cli"

MAY_IMPORT = {
    "errors": set[str](),
    "directories": {"errors"},  # like errors, a module that every room may import
    "atomic": set[str](),  # and another
    "filelock": set[str](),  # and one more
    "plaintext": set[str](),  # and the last: what is shown and what is logged pass it
    "machine": {"errors"},
    "transfer": {"errors"},
    "trust": {"transfer", "errors"},
    "catalog": {"errors"},
    "packages": {"catalog", "machine", "transfer", "trust", "errors"},
    "models": {"catalog", "transfer", "trust", "errors"},
    "mirror": {"transfer", "errors"},
    "updates": {"catalog", "transfer", "trust", "errors"},
    "cli": {"errors", "machine", "transfer", "trust", "catalog", "packages", "models", "mirror", "updates"},
}

# Modules that may open a file, a socket or a process, or read the clock or the environment, and why.
EDGES = {
    "cli/releases.py": "looks for the index directory",
    "cli/commands/index.py": "looks for the index directory",
    "cli/width.py": "the terminal's width",
    "cli/plot.py": "writes a picture",
    "catalog/compiler/releases.py": "documents of models in index/",
    "catalog/compiler/readmes.py": "what READMEs say of models, in index/extras",
    "catalog/current.py": "the record of the signed index in use",
    "catalog/joined.py": "the directory of the signed indexes: which database is opened",
    "catalog/compiler/labs.py": "writes the database with the entries of labs",
    "models/own.py": "a wheel of one's own and its checkpoints",
    "cli/commands/index_read.py": "makes the index directory",
    "catalog/database.py": "opens zoo.db; in a checkout compares the index with it",
    "catalog/compiler/__init__.py": "reads the index, writes zoo.db",
    "catalog/compiler/sources.py": "reads the files of the index",
    "catalog/compiler/proposals.py": "proposed rows in the files of the index, tried in a temporary directory",
    "models/newstyle.py": "the names of the standard library, a constant of sys",
    "models/localconfigs.py": "config trees in folders, packages on the import path",
    "models/release.py": "members of a release's wheel, kept in the cache",
    "models/placing.py": "config files at their destination, and the room there",
    "models/keeping.py": "receipts beside downloaded files, and those files",
    "models/bundling.py": "the staging directory of a bundle",
    "models/caches.py": "names in torch.hub's cache, and the environment that says where it is",
    "updates/updating.py": "the directory of the signed index, its lock and the clock",
    "updates/publishing.py": "an index to publish, packed in a temporary directory",
    "models/upstream.py": "releases on the package index and in the cache",
    "models/convert.py": "a locked-down child with torch, and the file it writes",
    "models/convert_child.py": "runs inside that child",
    "models/indexfiles.py": "the index directory of the maintainers",
    "mirror/tree.py": "the directory of a mirror and its lock",
    "mirror/s3.py": "a bucket, and the staging directory",
    "mirror/sync.py": "the clock: how often the manifest is written",
    "mirror/serve.py": "sockets, threads, signals, the directory that is served",
    "packages/mirrored.py": "reads METADATA of wheels",
    "atomic.py": "small files, written whole",
    "filelock.py": "files that one process holds at a time",
    "directories.py": "the cache and state directories and the environment",
    "machine/files.py": "bounded reads of small files",
    "machine/child.py": "asks other programs, with a time-out",
    "machine/driver_child.py": "a script that loads NVIDIA's libraries, in a child",
    "machine/traces.py": "kernel files, device nodes, the PCI bus",
    "machine/nvidia.py": "the driver's libraries and nvidia-smi",
    "machine/probe.py": "system, C library, disk",
    "machine/installed.py": "metadata files of installed distributions",
    "machine/interpreter.py": "the target interpreter",
    "machine/remembered.py": "interpreters' answers in the cache",
    "machine/profile.py": "files of --machine and --save",
    "cli/__init__.py": "argv and the end of the process",
    "cli/app.py": "the error boundary of the process",
    "cli/console.py": "the terminal",
    "packages/extensions.py": "compiled extensions of the target's site-packages",
    "packages/requirements.py": "requirements files",
    "packages/surroundings.py": "compiled extensions of other projects, pip's and uv's caches",
    "packages/pages.py": "directories with wheels",
    "packages/indexes.py": "environment variables and pip's configuration files",
    "packages/locking.py": "lock files, and uv's answer in a temporary directory",
    "packages/trees.py": "what stands in the directories of an environment",
    "packages/snapshot.py": "links to the files of an environment",
    "packages/journal.py": "the journal of an environment and its lock",
    "packages/executor.py": "uv and pip as child processes, their logs",
    "packages/steps.py": "the environment that a printed command is for",
    "packages/recorded.py": "installed files beside their RECORD",
    "packages/environments.py": "directories of new environments and the lock on them",
    "packages/wheelhouse.py": "the pages of a directory with wheels",
    "packages/smoke.py": "a child of the target interpreter",
    "packages/ops_child.py": "runs inside the target interpreter",
    "packages/builder.py": "the cache of built wheels and the clock",
    "packages/compiling.py": "build backends as child processes, build directories and their locks",
    "packages/nvcc.py": "looks for CUDA toolkits",
    "packages/given.py": "files of given sources",
    "packages/sources.py": "sdists, folders, and git as a child process",
    "packages/toolchain.py": "looks for compilers, headers, memory and disk",
    "trust/scanning.py": "opens checkpoints to scan",
    "trust/quarantine.py": "keeps refused files in the cache directory",
    "trust/roots.py": "trusted roots in the state directory",
    "trust/tufclient.py": "python-tuf's verified metadata, and the day by the clock",
    "trust/signing.py": "key files and the repository of a signed index",
    "cli/commands/index_trust.py": "the root that the user names",
    "cli/commands/index_signing.py": "a file with a passphrase, and the clock",
    "trust/seen.py": "the record of first-seen digests in the state directory",
    "trust/bundle.py": "reads and writes bundles, puts their files in place",
    "trust/archive.py": "unpacks sdists",
    "trust/wheel.py": "reads wheels",
    "trust/torchsymbols.py": "reads torch's libraries",
    "trust/inspected.py": "the text of the modules that inspect",
    "trust/marked.py": "records in the cache, and the key of the user that marks them",
    "packages/directurl.py": "direct_url.json and RECORD of what was installed",
    "packages/bytecode.py": "the prefix of the target, records in the cache",
    "packages/ahead.py": "sources and compiled modules of the target, children that compile, threads",
    "packages/compile_child.py": "runs inside the target interpreter",
    "cli/model_lock.py": "a folder for models that are fetched to be locked",
    "cli/commands/build.py": "the output directory",
    "cli/messages/sources.py": "the environment, for commands to paste",
    "cli/messages/transfer.py": "argv and the environment, for commands to paste",
    "cli/progress.py": "the clock: rates and lines every 30 s",
    "transfer/attempt.py": "the clock; network and files, through http and part",
    "transfer/body.py": "the clock, and a buffer for each thread",
    "transfer/connect.py": "sockets, TLS, proxy and CA settings of the environment",
    "transfer/documents.py": "network and local files",
    "transfer/fetch.py": "the destination",
    "transfer/finalname.py": "names on the disk",
    "transfer/http.py": "the clock, and sockets through pool and stream",
    "transfer/stream.py": "sockets and the clock",
    "transfer/pool.py": "threads and the clock",
    "transfer/localfile.py": "a local file that is fetched",
    "transfer/lists.py": "the list of files that the user gives",
    "transfer/probe.py": "the network, local files and the clock",
    "transfer/headers.py": "the environment and the user's mirrors file",
    "transfer/health.py": "a small file in the state directory, and the clock",
    "transfer/keptrules.py": "a small file in the state directory",
    "transfer/split.py": "threads, sockets and the clock",
    "transfer/throttle.py": "the clock",
    "transfer/mirrors.py": "mirrors files, the working directory and the environment",
    "transfer/mirrorsedit.py": "the user's mirrors file, under a lock",
    "transfer/projectrules.py": "a project's file, and what was accepted in the state directory",
    "transfer/parallel.py": "threads: several transfers at once; the clock: how busy they are",
    "transfer/sizes.py": "network and local files: sizes alone",
    "transfer/part.py": "the part file, its lock and the clock",
    "transfer/mapped.py": "the part file and its map",
    "transfer/record.py": "small files beside the part file",
    "transfer/relay.py": "threads: one writes, one hashes",
    "transfer/remote.py": "network and a temporary file",
    "transfer/rivals.py": "a thread, the network, local files and the clock",
    "transfer/rounds.py": "the clock: waits between rounds",
    "transfer/store.py": "the cache directory, owners and modes, the clock",
    "transfer/cache.py": "the cache directory and the clock",
    "transfer/writeback.py": "a thread that has the part file written",
}

TERMINAL_LIBRARIES = {"click", "rich", "tqdm"}
NEVER = {"torch", "mmengine", "mmcv", "mmdet", "numpy", "pickle", "marshal", "shelve"}
EDGE_MODULES = {
    "subprocess", "socket", "ssl", "http", "urllib.request", "shutil", "tempfile", "time", "datetime", "glob", "fcntl",
    "ctypes", "requests", "urllib3", "os", "sys", "platform", "threading", "signal", "mmap", "selectors", "asyncio",
}  # fmt: skip
EDGE_CALLS = {"open", "exec", "eval", "compile", "__import__"}
EDGE_METHODS = {
    "read_text",
    "read_bytes",
    "write_text",
    "write_bytes",
    "mkdir",
    "unlink",
    "iterdir",
    "exists",
    "is_file",
    "is_dir",
    "stat",
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports_of(path: Path) -> list[str]:
    """Every module imported at run time, also inside functions; TYPE_CHECKING blocks do not count."""
    found: list[str] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.append(node.module or "")
            found.extend(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def all_imports_of(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    ]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_rooms_import_one_way(path: Path) -> None:
    room = room_of(path)
    if room not in MAY_IMPORT:  # zoo_cli/__init__.py, __main__.py
        return
    for module in all_imports_of(path):
        if module.startswith("zoo_cli."):
            other = module.split(".")[1]
            assert other in {room, "errors", "directories", "atomic", "filelock", "plaintext", *MAY_IMPORT[room]}, (
                f"{name_of(path)} imports {module}"
            )


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_terminal_libraries_stay_in_cli(path: Path) -> None:
    used = {module.split(".")[0] for module in all_imports_of(path)}
    assert room_of(path) == "cli" or not used & TERMINAL_LIBRARIES
    assert not used & NEVER


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_named_edges_touch_the_world(path: Path) -> None:
    if name_of(path) in EDGES:
        return
    used = [module for module in imports_of(path) if module in EDGE_MODULES or module.split(".")[0] in EDGE_MODULES]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in EDGE_CALLS:
                used.append(f"{node.func.id}() in line {node.lineno}")
            if isinstance(node.func, ast.Attribute) and node.func.attr in EDGE_METHODS:
                used.append(f".{node.func.attr}() in line {node.lineno}")
    assert not used, f"{name_of(path)} is not a named edge and uses {used}"


def test_every_named_edge_exists() -> None:
    assert set(EDGES) <= {name_of(path) for path in MODULES}


def test_nobody_swallows_everything() -> None:
    """`except Exception` exists once: at the boundary in cli/app.py."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler):
                broad = node.type is None or (
                    isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
                )
                assert not broad or name_of(path) == "cli/app.py", f"{name_of(path)}:{node.lineno}"
