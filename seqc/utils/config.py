"""Named values that are read and set like attributes, and can be frozen: `keras.utils.Config`."""

from __future__ import annotations

import json
from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from difflib import get_close_matches
from typing import Any

from seqc.errors import ConfigError


class Config:
    """Values by name: `config.units` is `config["units"]`.

    Args:
        kwargs: the first values.
    """

    def __init__(self, **kwargs: Any) -> None:
        object.__setattr__(self, "_config", kwargs)
        object.__setattr__(self, "_frozen", False)

    @property
    def frozen(self) -> bool:
        """Whether values can no longer be set or removed."""
        return bool(self._frozen)

    def freeze(self) -> None:
        """Lets every change raise ConfigError from here on."""
        object.__setattr__(self, "_frozen", True)

    def unfreeze(self) -> None:
        """Allows changes again."""
        object.__setattr__(self, "_frozen", False)

    def _changing(self) -> dict[str, Any]:
        if self._frozen:
            raise ConfigError("Cannot change a value: the config is frozen. config.unfreeze() allows it.")
        return self._values

    @property
    def _values(self) -> dict[str, Any]:
        found: dict[str, Any] = self.__dict__["_config"]
        return found

    def as_dict(self) -> dict[str, Any]:
        """Returns the values as a dictionary of its own."""
        return dict(self._values)

    def to_json(self) -> str:
        """Returns the values as JSON."""
        return json.dumps(self._values)

    def keys(self) -> KeysView[str]:
        """Returns the names, in the order in which they came."""
        return self._values.keys()

    def values(self) -> ValuesView[Any]:
        """Returns the values, in the order in which they came."""
        return self._values.values()

    def items(self) -> ItemsView[str, Any]:
        """Returns names and values, in the order in which they came."""
        return self._values.items()

    def get(self, keyname: str, value: Any = None) -> Any:
        """Returns the value of a name, or another one where there is none."""
        return self._values.get(keyname, value)

    def pop(self, *args: Any) -> Any:
        """Removes a name and returns its value, or the second argument where there is none."""
        return self._changing().pop(*args)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Sets values from a dictionary, and by name."""
        self._changing().update(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        values = self.__dict__.get("_config", {})  # nothing, while a copy is made
        if name in values:
            return values[name]
        near = get_close_matches(name, [key for key in values if isinstance(key, str)], n=1, cutoff=0.7)
        raise AttributeError(f"Unknown attribute: '{name}'." + "".join(f" Did you mean '{key}'?" for key in near))

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(type(self), name):
            raise ConfigError(f"'{name}' is a method of every Config: set and read config[{name!r}] instead.")
        self._changing()[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self._values:
            raise AttributeError(f"Unknown attribute: '{name}'.")
        del self._changing()[name]

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, item: Any) -> None:
        self._changing()[key] = item

    def __delitem__(self, key: str) -> None:
        del self._changing()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._values))

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, item: object) -> bool:
        return item in self._values

    def __repr__(self) -> str:
        return f"<Config {self._values}>"
