"""A config's settings in forms that other programs read: values for JSON, text of YAML.

Pure. Neither has all that a Python config has: tuples, sets and ranges become lists, keys become text in JSON, and what
is no number of JSON (inf, nan) becomes text there. Only the Python form loads back as the equal dict.
"""

from __future__ import annotations

import math
from typing import Any

from zoo_cli.models.writer import CannotWrite


def for_json(settings: Any) -> Any:
    """The settings as JSON has them.

    Raises:
        CannotWrite: A value has no such form (bytes).
    """
    return _plain(settings, "", json=True)


def yaml_text(settings: dict[str, Any], comment: tuple[str, ...] = ()) -> str:
    """The settings as a YAML document, safe to load, one setting a line, behind lines of comment.

    Raises:
        CannotWrite: A value has no such form (bytes).
    """
    import yaml

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
        """Never writes anchors: the same value twice is written twice."""

        def ignore_aliases(self, _data: object) -> bool:
            return True

    plain = {key: _plain(settings[key], key, json=False) for key in sorted(settings)}
    text = yaml.dump(plain, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None)
    return "".join(f"# {line}\n" for line in comment) + str(text)


def _plain(value: Any, key: str, *, json: bool) -> Any:
    if isinstance(value, dict):
        made = {(str(name) if json else name): _plain(item, f"{key}.{name}", json=json) for name, item in value.items()}
        if len(made) != len(value):
            raise CannotWrite(key.lstrip("."), "two keys are the same text")
        if not json and not all(isinstance(name, str | int | float | bool | None) for name in made):
            raise CannotWrite(key.lstrip("."), "a key is neither text nor number")
        return made
    if isinstance(value, list | tuple | range):
        return [_plain(item, f"{key}.{at}", json=json) for at, item in enumerate(value)]
    if isinstance(value, set | frozenset):
        return [_plain(item, key, json=json) for item in sorted(value, key=repr)]
    if isinstance(value, bytes):
        raise CannotWrite(key.lstrip("."), "bytes have no form in JSON and YAML")
    if json and isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
