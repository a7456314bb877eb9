"""How one config inherits from another: mmengine's rules (0.10.7), without mmengine.

Pure. Dicts merge key by key, anything else is replaced; `_delete_=True` drops the base's value, and is taken away only
where the base has the key; lists are replaced whole. `BaseDict` is what a config sees under the name `_base_`: a
dict whose keys are attributes, too, and whose `update` merges deeply, as mmengine's ConfigDict does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo_cli.models.bounded import SCALARS, Budget, Exhausted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DELETE = "_delete_"


class CannotInherit(Exception):
    """A dict of the child meets something else in the base."""


class BaseDict(dict[Any, Any]):
    """A base's settings as the child's code sees them."""

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, hooked(value))

    def update(self, other: Mapping[Any, Any] | None = None, /, **named: Any) -> None:  # type: ignore[override]
        """Merges deeply; dicts only, as in mmengine."""
        if other is not None and not isinstance(other, dict):
            raise TypeError("update needs a dict")
        for key, value in {**(other or {}), **named}.items():
            if isinstance(value, dict) and isinstance(self.get(key), dict):
                self[key].update(value)
            else:
                self[key] = value

    def pop(self, key: Any, default: Any = None) -> Any:
        """The value taken out; None when there is none, as in mmengine."""
        return super().pop(key, default)

    def copy(self) -> BaseDict:
        """A copy whose lists are copies, too."""
        other = BaseDict()
        for key, value in self.items():
            other[key] = value
        return other

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """The value, after setting it where there is none."""
        if key not in self:
            self[key] = default
            return default
        return self[key]

    def merge(self, other: Mapping[Any, Any]) -> None:
        """Merges as a child config would: `_delete_` drops what is here, everything else goes key by key."""
        result = _merged_over(other, self)
        self.clear()
        for key, value in result.items():
            self[key] = value


def _merged_over(child: Mapping[Any, Any], base: Mapping[Any, Any]) -> dict[Any, Any]:
    """`ConfigDict.merge` of mmengine: unlike a config's inheritance, a dict may replace something else."""
    kept: Mapping[Any, Any] = {} if child.get(DELETE) else base
    result = dict(kept)
    for key, value in child.items():
        if not isinstance(value, dict):
            result[key] = value
        elif isinstance(kept.get(key), dict):
            result[key] = _merged_over(value, kept[key])
        else:
            result[key] = {name: item for name, item in value.items() if name != DELETE}
    result.pop(DELETE, None)
    return result


def hooked(value: Any) -> Any:
    """The value as a BaseDict holds it: plain dicts become BaseDicts, lists and tuples are copied."""
    kind = type(value)
    if kind is dict:
        made = BaseDict()
        for key, item in value.items():
            made[key] = item
        return made
    if kind is list or kind is tuple:
        return kind(hooked(item) for item in value)
    return value


def merged(child: Mapping[Any, Any], base: Mapping[Any, Any]) -> dict[Any, Any]:
    """The base with the child's settings over it; neither is changed, parts may be shared.

    Raises:
        CannotInherit: A dict stands in the child where the base has something else.
    """
    result = dict(base)
    for key, value in child.items():
        if not isinstance(value, dict) or key not in base:
            result[key] = value
            continue
        if DELETE in value:
            delete = value[DELETE]
            value = {name: item for name, item in value.items() if name != DELETE}
            if delete:
                result[key] = value
                continue
        if not isinstance(base[key], dict):
            raise CannotInherit(
                f"{key!s:.80} is a dict here but a {type(base[key]).__name__} in the base; {DELETE}=True replaces it"
            )
        result[key] = merged(value, base[key])
    return result


def fresh(
    value: Any,
    budget: Budget,
    make: type[dict[Any, Any]] = dict,
    replace: Callable[[str], Any] | None = None,
    names: Callable[[Any], Any] | None = None,
) -> Any:
    """A copy that shares nothing with the value, its dicts made by `make`, its strings passed through `replace`.

    What is neither plain nor a container (a name that a new-style config imported) is what `names` makes of it.

    Raises:
        Exhausted: The value holds itself, is nested too deep or too large.
        TypeError: The value holds something that no config file can express.
    """
    plain = SCALARS if replace is None else SCALARS - {str}  # kept without a call: most of what configs hold

    def copy(value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str and replace is not None:
            return replace(value)
        if kind in SCALARS:
            return value
        if depth > budget.limits.depth:
            raise Exhausted("depth of nested values", budget.limits.depth)
        if isinstance(value, dict):
            budget.spend(len(value) + 1)
            if make is dict:
                below = depth + 1
                return {key: item if type(item) in plain else copy(item, below) for key, item in value.items()}
            made = make()
            put = dict.__setitem__
            for key, item in value.items():
                put(made, key, item if type(item) in plain else copy(item, depth + 1))
            return made
        if kind is list or kind is tuple:
            budget.spend(len(value) + 1)
            return kind([item if type(item) in plain else copy(item, depth + 1) for item in value])
        if kind is set or kind is frozenset:
            budget.walk(value)
            return kind(value)
        if kind is range:
            return value
        if names is not None:
            return names(value)
        raise TypeError(f"a config cannot hold a {kind.__name__}")

    return copy(value, 0)


def scoped(settings: Any, scope: str) -> Any:
    """A copy in which the outermost dicts with a `type` carry `_scope_`: the mark of another package's config."""
    if isinstance(settings, dict):
        if "type" not in settings:
            return {key: scoped(value, scope) for key, value in settings.items()}
        return {**settings, "_scope_": scope} if settings.get("_scope_") is None else settings
    if isinstance(settings, list | tuple):
        return type(settings)(scoped(item, scope) for item in settings)
    return settings
