"""Configs written to harm: each would run code, hang, or fill the memory if it were executed.

As a program (`python -m tests.models.hostile_configs OUT`) it flattens every one under a memory and CPU limit and
writes what came of each as JSON; the test runs that child, so that a failure of a limit cannot take pytest with it.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from zoo_cli.models.config_errors import ConfigError
from zoo_cli.models.configs import ConfigTree

SENTINEL = "zoo-was-here"
WRITE = f"open('{SENTINEL}', 'w').close()"
DOUBLE = "for i in range(40):\n    {}\n"

PYTHON: dict[str, str] = {
    # running something
    "import os": f"import os\nos.system('touch {SENTINEL}')",
    "from os": f"from os import system\nsystem('touch {SENTINEL}')",
    "import star": "from os.path import *",
    "calling a relative import": "from .evil import x\nx()",
    "dunder import": f"__import__('os').system('touch {SENTINEL}')",
    "open": WRITE,
    "eval": f"x = eval({WRITE!r})",
    "exec": f"exec({WRITE!r})",
    "compile": f"x = compile({WRITE!r}, '', 'exec')",
    "getattr": "x = getattr(1, 'real')",
    "hasattr": "x = hasattr(1, 'real')",
    "hasattr of something private": "_base_ = 'base.py'\nx = hasattr(_base_, '__class__')",
    "getattr of something private": "_base_ = 'base.py'\nx = getattr(_base_, '__class__', 1)",
    "getattr of a method": "_base_ = 'base.py'\nx = getattr(_base_, 'update')",
    "globals": "x = globals()",
    "builtins by name": "x = __builtins__",
    "builtins as item": "x = __builtins__['open']('zoo-was-here', 'w')",
    "class walk": "x = ().__class__.__base__.__subclasses__()",
    "class walk on a string": "x = ''.__class__.__mro__[1].__subclasses__()",
    "class walk on a base": "_base_ = 'base.py'\nx = _base_.__class__.__init__.__globals__",
    "private of a base": "_base_ = 'base.py'\nx = _base_._hidden",
    "dunder in an f-string": "x = f'{().__class__}'",
    "format": "x = '{0.__class__.__mro__}'.format(1)",
    "format with a private item": "x = '{0[__class__]}'.format(dict(a=1))",
    "format_map": "x = '{a.__class__}'.format_map(dict(a=1))",
    "lambda": f"x = (lambda: {WRITE})()",
    "lambda as key": "x = sorted([1, 2], key=lambda item: item)",
    "def": f"def f():\n    {WRITE}\nx = f()",
    "async def": "async def f():\n    pass",
    "class": f"class A:\n    {WRITE}",
    "metaclass": "class A(metaclass=type):\n    pass",
    "decorator": "@print\ndef f():\n    pass",
    "default argument": f"def f(x={WRITE}):\n    pass",
    "with": f"with {WRITE[:-8]} as f:\n    pass",
    "try": "try:\n    x = 1\nfinally:\n    pass",
    "raise": "raise SystemExit",
    "assert": "assert 0",
    "walrus": "x = [y := 1]",
    "yield": "x = [(yield)]",
    "await": "x = await 1",
    "matrix product": "x = [1] @ [2]",
    "type with three arguments": "x = type('A', (), {})",
    "a builtin as a value": "x = dict(type=open)",
    "a method as a value": "x = 'a'.join",
    "map": f"x = list(map(open, ['{SENTINEL}']))",
    "print": f"print(file={WRITE[:-8]})",
    "exit": "exit()",
    "breakpoint": "breakpoint()",
    "bases by a call": f"_base_ = [{WRITE}]",
    "bases by an import": f"_base_ = __import__('os').system('touch {SENTINEL}')",
    "rebinding a function": f"dict = open\ndict('{SENTINEL}', 'w')",
    "calling a copied function": "from copy import deepcopy\ndeepcopy.__globals__['sys'].exit()",
    "copy's insides": "import copy\nx = copy.copyreg",
    "template": "x = {{_base_.a}}",
    "path variable in code": "x = {{ fileDirname }}",
    # never ending, or much too much
    "while": "while True:\n    pass",
    "endless for": "for i in range(10**18):\n    pass",
    "nested for": "for i in range(10**6):\n    for j in range(10**6):\n        x = j",
    "for over what it extends": "x = [1]\nfor i in range(10**9):\n    x += [i] * 1000",
    "nested comprehension": "x = [i for i in range(10**9) for j in range(10**9)]",
    "list of a range": "x = list(range(10**12))",
    "length of a range": "x = len(range(10**30))",
    "sum of a range": "x = sum(range(10**12))",
    "max of a range": "x = max(range(10**12))",
    "slow look-up in a range": "x = 'a' in range(10**12)",
    "huge integer": "x = 1 << 10**11",
    "huge power": "x = 10 ** 10 ** 10",
    "power of power": "x = 9 ** 9 ** 9 ** 9",
    "pow": "x = pow(2, 10**10)",
    "squaring": "x = 3\n" + "x *= x\n" * 60,
    "rounding": "x = round(5, -10**10)",
    "long literal": "x = " + "9" * 5000,
    "long hexadecimal literal": "x = 0x" + "f" * 100_000,
    "integer from text": "x = int('f' * 1000000, 16)",
    "huge string": "x = 'a' * 10**12",
    "huge list": "x = [0] * 10**10",
    "huge tuple": "x = (0,) * 10**10",
    "huge bytes": "x = b'a' * 10**12",
    "doubling a string": "x = 'a'\n" + DOUBLE.format("x += x"),
    "doubling a list": "x = [1]\n" + DOUBLE.format("x = x + x"),
    "extending with itself": "x = [1]\n" + DOUBLE.format("x.extend(x)"),
    "many large strings": "x = ['a' * 1000000 for i in range(100000)]",
    "replace": "x = ('a' * 1000000).replace('a', 'b' * 1000000)",
    "replace of nothing": "x = ('a' * 1000000).replace('', 'b' * 1000000)",
    "join": "x = ('a' * 1000000).join(['b'] * 100000)",
    "padding": "x = 'a'.ljust(10**12)",
    "percent width": "x = '%1000000000d' % 1",
    "percent star": "x = '%*d' % (10**10, 1)",
    "percent with a name": "x = '%(a)1000000000d' % dict(a=1)",
    "format width": "x = f'{1:1000000000}'",
    "computed format width": "x = f'{1:{10**9}}'",
    "str.format width": "x = '{:1000000000}'.format(1)",
    "str.format nested width": "x = '{:{}}'.format(1, 10**9)",
    "str.format with a named width": "x = '{:{w}}'.format(1, w=10**9)",
    "str.format of laughs": "x = (1,)\n" + DOUBLE.format("x = (x, x)") + "z = '{}'.format(x)",
    "str.format with many fields": "x = '" + "{0}" * 200_000 + "'.format('a' * 1000)",
    "str.format far index": "x = '{99999999999999999999}'.format(1)",
    "laughs": "x = [1]\n" + DOUBLE.format("x = [x, x]"),
    "laughing dicts": "x = dict(a=1)\n" + DOUBLE.format("x = dict(a=x, b=x)"),
    "comparing laughs": "x = [1]\ny = [1]\n" + DOUBLE.format("x = [x, x]; y = [y, y]") + "z = x == y",
    "hashing laughs": "x = (1,)\n" + DOUBLE.format("x = (x, x)") + "z = {x: 1}",
    "printing laughs": "x = (1,)\n" + DOUBLE.format("x = (x, x)") + "z = str(x)",
    "formatting laughs": "x = (1,)\n" + DOUBLE.format("x = (x, x)") + "z = f'{x}'",
    "laughs into a base": "_base_ = 'base.py'\nx = [1]\n" + DOUBLE.format("x = [x, x]") + "_base_.y = x",
    "laughs updating a base": "_base_ = 'base.py'\nx = [1]\n" + DOUBLE.format("x = [x, x]") + "_base_.update(y=x)",
    "copying laughs": "from copy import deepcopy\nx = [1]\n" + DOUBLE.format("x = [x, x]") + "y = deepcopy(x)",
    "a list in itself": "x = []\nx.append(x)",
    "a dict in itself": "x = {}\nx['x'] = x",
    "deep value": "x = []\nfor i in range(100000):\n    x = [x]",
    "hash of a deep tuple": "x = ()\nfor i in range(100000):\n    x = (x,)\ny = {x}",
    "equality of deep lists": "x = []\ny = []\nfor i in range(100000):\n    x = [x]; y = [y]\nz = x == y",
    "deep brackets": "x = " + "[" * 5000 + "]" * 5000,
    "deep minus": "x = " + "-" * 200_000 + "1",
    "long sum": "x = " + "1+" * 200_000 + "1",
    "long attribute": "x = a" + ".b" * 200_000,
    "long call": "x = a" + "()" * 200_000,
    "long else-if": "if 0:\n pass\n" + "elif 0:\n pass\n" * 50_000,
    "deep choice": "x = " + "1 if 1 else " * 50_000 + "1",
    # wrong by the language
    "not Python": "x = = 1",
    "null": "x = 1\0",
    "unknown name": "x = y",
    "division by zero": "x = 1 / 0",
    "float overflow": "x = 10.0 ** 1000",
    "complex": "x = (-8) ** 0.5",
    "imaginary": "x = 1j",
    "ellipsis": "x = ...",
    "missing item": "x = dict(a=1)['b']",
    "keyword twice": "x = dict(a=1, a=2)",
    "break at the top": "break",
    "unhashable": "x = {[]: 1}",
    "unpacking": "a, b = 1, 2, 3",
    "reserved name": "filename = 'x'",
    "base that is a number": "_base_ = 1",
    "rebinding the base": "for _base_ in [1]:\n    pass",
    # bases
    "itself as base": "_base_ = 'config.py'",
    "a circle": "_base_ = 'circle.py'",
    "a long chain": "_base_ = 'chain0.py'",
    "outside": "_base_ = '../../../../etc/passwd.py'",
    "absolute": "_base_ = '/etc/passwd.py'",
    "home": "_base_ = '~/x.py'",
    "address": "_base_ = 'http://127.0.0.1/x.py'",
    "variable": "_base_ = '$HOME/x.py'",
    "backslash": "_base_ = '..\\\\x.py'",
    "null in a base": "_base_ = 'x\\0.py'",
    "missing base": "_base_ = 'none.py'",
    "base of no format": "_base_ = 'x.sh'",
    "other package in a circle": "_base_ = 'self::config.py'",
    "two colons": "_base_ = 'mm::x/y.py::z/w.py'",
    "environment as a base": "_base_ = ['{{$HOME:x}}.py', '$HOME/x.py']",
    "environment bomb": "x = '" + '{{"$a:' * 100_000 + "'\ny = open",
    "environment blanks": "x = '{{\"$a:" + " " * 900_000 + "'\ny = open",
    "braces": "x = '" + "{" * 900_000 + "'\ny = open",
    "code in a default": 'x = {{\'$ZOO_HOSTILE:__import__("os").system("touch\\tzoo-was-here")\'}}',
    "other package": "_base_ = 'mmpretrain::_base_/x.py'",
    "other package outside": "_base_ = 'mmpretrain::../../x/y.py'",
    "odd package": "_base_ = '../mm::x/y.py'",
    "two bases with one key": "_base_ = ['base.py', 'base2.py']",
    "dict over a number": "_base_ = 'base.py'\na = dict(b=1)",
    "mark inside a string": "_base_ = 'base.py'\nx = '{{_base_.a}} and more'",
    "mark in a sum": "_base_ = 'base.py'\nx = {{_base_.a}} + 'b'",
    "mark of nothing": "_base_ = 'base.py'\nx = {{_base_.nothing}}",
}

NEW_STYLE: dict[str, str] = {
    "calling an imported function": f"from evil import run\nx = run('touch {SENTINEL}')",
    "calling a method of an import": f"import evil\nx = evil.tools.run('touch {SENTINEL}')",
    "calling the library": f"from evil import run\nimport os\nos.system('touch {SENTINEL}')",
    "calling a name of the library": f"from evil import run\nfrom os import system\nsystem('touch {SENTINEL}')",
    "path of the library": "from evil import run\nfrom pathlib import Path\nPath('zoo-was-here').touch()",
    "library as an argument": "from evil import run\nfrom os import system\nx = dict(type=system)",
    "a function of its own": f"from evil import run\ndef f():\n    {WRITE}\nf()",
    "a default of its own": f"from evil import run\ndef f(x={WRITE}):\n    pass",
    "decorated": "from evil import run\n@run\ndef f():\n    pass",
    "lambda": f"from evil import run\nx = [f() for f in [lambda: {WRITE}]]",
    "globals of an import": "from evil import run\nx = run.__globals__",
    "class of an import": "from evil import run\nx = run.__class__.__init__.__globals__['sys']",
    "build of an import": "from os.path import evil\nfrom evil import run\nx = run.build()",
    "module of an import": "from evil import run\nx = run.module",
    "import star of a package": "from evil.tools import *",
    "import star of the library": "from evil import run\nfrom os import *\nsystem('touch zoo-was-here')",
    "two modules": "import evil, evil2",
    "import below an if": "from evil import run\nif 1:\n    import evil.tools",
    "open after with": f"from evil import run\nwith {WRITE[:-8]} as f:\n    pass",
    "with in a with": "with read_base():\n    with read_base():\n        from .base import *",
    "a call in read_base": f"with read_base():\n    {WRITE}",
    "read_base twice": "with read_base():\n    from .base import a\nwith read_base():\n    from .base2 import a",
    "old and new": "with read_base():\n    from .base import a\n_base_ = 'base.py'\nx = _base_",
    "new base of an old one": "_base_ = 'newstyle.py'",
    "old base of a new one": "with read_base():\n    from .oldstyle import *",
    "outside": "with read_base():\n    from ......etc.passwd import *",
    "itself": "with read_base():\n    from .config import *",
    "a circle": "with read_base():\n    from .newcircle import *",
    "a long chain": "with read_base():\n    from .newchain0 import *",
    "missing": "with read_base():\n    from .nothing import *",
    "missing name": "with read_base():\n    from .base import nothing",
    "of the library": "with read_base():\n    from os.path import *",
    "of a package": "with read_base():\n    from evil.configs.x import *",
    "a package itself": "with read_base():\n    from evil import *",
    "here": "with read_base():\n    from . import base",
    "name of the file": "from evil import run\nx = __file__",
    "mmengine's own class": "from evil import run\nx = LazyObject('os', 'system').build()",
    "import as a key": "from evil import run\nx = {run: 1}",
    "import in a set": "from evil import run\nx = {run}",
    "laughs": "from evil import run\nx = [run]\n" + DOUBLE.format("x = [x, x]"),
    "laughs into a base": "with read_base():\n    from .base import b\nx = [1]\n"
    + DOUBLE.format("x = [x, x]")
    + "b.y = x",
    "merging laughs": "with read_base():\n    from .base import b\nx = dict(a=1)\n"
    + DOUBLE.format("x = dict(a=x, b=x)")
    + "b.merge(x)",
    "base merged with itself": "with read_base():\n    from .base import b\nb.b = b\n"
    + DOUBLE.format("b.b = b; b.c = b"),
    "endless": "from evil import run\nfor i in range(10**18):\n    x = run",
    "long attribute": "import evil\nx = evil" + ".a" * 200_000,
    "reserved name": "from evil import run\ntext = 'x'",
}

BYTES: dict[str, bytes] = {
    "utf-7": b"# coding: utf-7\n+AG8AcABlAG4-('zoo-was-here', 'w')",
    "other coding in line 2": b"#!/bin/sh\n# vim: set fileencoding=latin-1 :\nx = 1",
    "latin": "x = 'é'".encode("latin-1"),
    "utf-16": "x = 1".encode("utf-16"),
    "large": b"x = 1\n" * 500_000,
}

DOCUMENTS: dict[str, bytes] = {
    "object.yaml": b"x: !!python/object/apply:os.system ['touch zoo-was-here']",
    "name.yaml": b"x: !!python/name:os.system",
    "laughs.yaml": b"a: &a [1]\n"
    + b"".join(b"%c: &%c [*%c, *%c]\n" % (98 + i, 98 + i, 97 + i, 97 + i) for i in range(24)),
    "itself.yaml": b"x: &x [*x]",
    "deep.yaml": b"x: " + b"[" * 50_000 + b"]" * 50_000,
    "tuple.yaml": b"x: !!python/tuple {a: 1}",
    "tuple of objects.yaml": b"x: !!python/tuple [!!python/object/apply:os.system ['touch zoo-was-here']]",
    "new tuple.yaml": b"x: !!python/object/new:os.system ['touch zoo-was-here']",
    "module.yaml": b"x: !!python/module:os",
    "tuple as a key.yaml": b"? !!python/tuple [[1]]\n: 1",
    "merge keys.yaml": b"a: &a {x: 1}\n"
    + b"".join(b"%c: &%c {<<: [*%c, *%c]}\n" % (98 + i, 98 + i, 97 + i, 97 + i) for i in range(24)),
    "own tag.yaml": b"x: !evil 1",
    "set.yaml": b"x: !!set {a, b}",
    "two documents.yaml": b"a: 1\n---\nb: 2\n",
    "huge number.yaml": b"x: " + b"9" * 50_000,
    "sixties.yaml": b"x: " + b"1:" * 20_000 + b"1",
    "base in a circle.yaml": b"_base_: ./base in a circle.yaml",
    "outside.yaml": b"_base_: ../../../etc/passwd.yaml",
    "code as a base.yaml": b"_base_: [__import__('os').system('touch zoo-was-here')]",
    "reserved.json": b'{"filename": 1}',
    "null.json": b'{"x": "\x00"}',
    "list.yaml": b"[1, 2]",
    "date.yaml": b"x: 2024-01-01",
    "broken.yaml": b"x: [1",
    "broken.json": b'{"x": 1,}',
    "deep.json": b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "long.json": b'{"x": ' + b"9" * 100_000 + b"}",
    "list.json": b"[]",
    "outside.json": b'{"_base_": "../../x.json"}',
}

BESIDE: dict[str, bytes] = {
    "configs/base.py": b"a = 1\nb = dict(c=2)\n",
    "configs/base2.py": b"a = 3\n",
    "configs/circle.py": b"_base_ = ['circle2.py']",
    "configs/circle2.py": b"_base_ = ['./circle.py']",
    "configs/oldstyle.py": b"_base_ = 'base.py'",
    "configs/newstyle.py": b"from evil import run\nx = 1",
    "configs/newcircle.py": b"with read_base():\n    from .newcircle2 import *",
    "configs/newcircle2.py": b"with read_base():\n    from .newcircle import *",
    **{
        f"configs/newchain{i}.py": (
            f"with read_base():\n    from .newchain{i + 1} import *\n    from .newchain{i + 1} import a\n"
        ).encode()
        for i in range(200)
    },
    **{f"configs/chain{i}.py": f"_base_ = 'chain{i + 1}.py'".encode() for i in range(200)},
}


def cases() -> dict[str, tuple[str, bytes]]:
    """Name of the case -> path of the config and its bytes."""
    found = {name: ("configs/config.py", source.encode()) for name, source in PYTHON.items()}
    found |= {f"new style: {name}": ("configs/config.py", source.encode()) for name, source in NEW_STYLE.items()}
    found |= {name: ("configs/config.py", source) for name, source in BYTES.items()}
    return found | {name: (f"configs/{name}", source) for name, source in DOCUMENTS.items()}


def outcome(path: str, source: bytes) -> dict[str, object]:
    """What flattening one of them ends in."""
    try:
        read = {**BESIDE, path: source}.get
        settings = ConfigTree(read, packages={"self": read}.get).flatten(path).settings
    except ConfigError as error:
        return {"code": error.code, **error.fields()}
    return {"code": "", "settings": repr(settings)[:200]}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000, 1_500_000_000))
    resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
    outcomes = {}
    for case, (where, text) in cases().items():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        outcomes[case] = outcome(where, text)
        outcomes[case]["cpu_seconds"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_utime - before, 2)
    Path(sys.argv[1]).write_text(json.dumps(outcomes))
