"""The question put to an interpreter: a script that prints what it is, as JSON.

Pure: the text of a program, started as `python -E -s -S -c SCRIPT`. It is understood by every Python from 2.7 on (which
is why it is text and not a module of ours). `-S` leaves site-packages unread, because a line of a `.pth` file there
would be code; so what `site` does for a virtual environment (PEP 405) is repeated: before Python 3.14 `sys.prefix` is
still the base's. A marker frames the answer, since wrappers may print something of their own first.
"""

from __future__ import annotations

FLAGS = ("-E", "-s", "-S")  # not -I: Python 2.7 has none. The script itself drops the working directory.
MARKER = "--zoo-interpreter--"

SCRIPT = r"""
import sys
sys.path[:] = [place for place in sys.path if place]  # "" is the working directory: nothing there may be imported
import json, os

def lines_of(path):
    try:
        with open(path, "rb") as file:
            return file.read(65536).decode("utf-8", "replace").splitlines()
    except (IOError, OSError):
        return []

old = sys.version_info[0] < 3
bin_directory = os.path.dirname(os.path.abspath(sys.executable))
parent = os.path.dirname(bin_directory)
base = getattr(sys, "base_prefix", sys.prefix)
settings = {}
is_virtual = False
for place in (bin_directory, parent):
    if os.path.isfile(os.path.join(place, "pyvenv.cfg")):
        is_virtual = True
        for line in lines_of(os.path.join(place, "pyvenv.cfg")):
            key, _, value = line.partition("=")
            settings[key.strip().lower()] = value.strip().lower()
        sys.prefix = sys.exec_prefix = parent
        break
else:
    original = lines_of(os.path.join(os.path.dirname(os.__file__), "orig-prefix.txt"))  # virtualenv before 20
    if original:
        is_virtual, base = True, original[0]

import sysconfig
paths = sysconfig.get_paths()
own = [paths["purelib"], paths["platlib"]]
shared = not is_virtual or settings.get("include-system-site-packages") == "true"
if not old:  # importing site runs it on Python 2
    import site
    around = [site.getusersitepackages()] if shared else []
    if is_virtual:
        directories = own + around + (site.getsitepackages([base]) if shared else [])
    else:
        directories = around + site.getsitepackages() + own
else:
    directories = own

flags = getattr(sys, "abiflags", "")
if sysconfig.get_config_var("Py_GIL_DISABLED") and "t" not in flags:
    flags += "t"
level = {"alpha": "a", "beta": "b", "candidate": "rc"}.get(sys.version_info[3])
version = "%d.%d.%d" % sys.version_info[:3] + ("%s%d" % (level, sys.version_info[4]) if level else "")
if hasattr(sys, "implementation"):
    implementation = sys.implementation.name
else:
    implementation = "pypy" if "PyPy" in sys.version else "cpython"

def plain(value):
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

facts = {
    "executable": sys.executable,
    "version": version,
    "implementation": implementation,
    "abi_flags": flags,
    "bits": 64 if sys.maxsize > 2 ** 32 else 32,
    "prefix": sys.prefix,
    "base_prefix": base,
    "is_virtual": is_virtual,
    "purelib": paths["purelib"],
    "platlib": paths["platlib"],
    "stdlib": paths["stdlib"],
    "platform": sysconfig.get_platform(),
    "directories": directories,
}
answer = json.dumps(dict((key, plain(value)) for key, value in facts.items()))
sys.stdout.write("\n%s%s\n" % ("MARKER", answer))
""".replace("MARKER", MARKER)
