"""What can be wrong with a config: one small family, each naming the file and the line.

`file` is a posix path inside the config tree, never a path of this machine; `line` is 0 where no line is to blame.
"""

from __future__ import annotations

from zoo_cli.errors import ZooError


class ConfigError(ZooError):
    """Base of everything that keeps a config from being flattened."""

    code = "bad-config"

    file: str
    line: int


class CannotEvaluate(ConfigError):
    """The config uses a construct that zoo does not evaluate, because it would mean running code."""

    code = "config-not-evaluated"

    construct: str


class BrokenConfig(ConfigError):
    """The config is wrong by the rules of the language or of config inheritance; mmengine refuses it, too."""

    code = "bad-config"

    reason: str


class ConfigTooLarge(ConfigError):
    """The config needs more work or room than any real one; see `Limits`."""

    code = "config-too-large"

    what: str
    limit: int


class BaseMissing(ConfigError):
    """A config, or a base that a config names, is not in its tree."""

    code = "config-missing"

    base: str


class BaseOutside(ConfigError):
    """A base is not a plain path inside the config tree."""

    code = "config-base-outside"

    base: str


class BaseCycle(ConfigError):
    """Configs name each other as bases in a circle."""

    code = "config-cycle"

    chain: tuple[str, ...]


class OtherPackage(ConfigError):
    """A base belongs to another package (`pkg::path`), whose configs are not at hand."""

    code = "config-other-package"

    package: str
    base: str
