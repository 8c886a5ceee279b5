"""Dtype policies: what a layer computes in, and what its weights are kept in.

What a policy with half precision means on NumPy is said in `seqc.passes.half_precision`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from typing import Any

import numpy as np

from seqc.errors import ConfigError
from seqc.graph.element_types import FLOATS, HALVES, need_bfloat16
from seqc.known_classes import known
from seqc.serialization import Configurable, revive, serialize_object
from seqc.utils.absent import absent
from seqc.utils.not_carried import QUANTIZED

__all__ = ["DTypePolicy", "DTypePolicyMap", "FloatDTypePolicy", "deserialize", "get", "serialize"]

# What keras.config knows of it, and every layer, loss and metric asks for where nobody says otherwise.
_state: dict[str, Any] = {"floatx": "float32", "policy": None}

_MIXED = {f"mixed_{half}": half for half in HALVES}
# Integers, booleans and strings are what an input may hold; layers pass them on.
_OTHERS = ("bool", "string", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
_QUANTIZED = re.compile(r"(int8|int4|float8|gptq|awq)\b|(int8|int4|float8|gptq|awq)(/|_from_)")


@known("dtype_policies")
class DTypePolicy(Configurable):
    """What a layer computes in, and what its weights are kept in.

    Args:
        name: "float32" or another element type for both, or "mixed_float16" or "mixed_bfloat16": weights of float32,
            computed with in half precision. By default the policy of `seqc.config.dtype_policy()`.

    Raises:
        ConfigError: there is no such policy, or it quantizes.
    """

    def __init__(self, name: str | None = None) -> None:
        name = dtype_policy().name if name is None else name
        if not isinstance(name, str):
            raise ConfigError(
                f"'name' must be a string, such as 'mixed_float16'. Received: name={name} (of type {type(name)})"
            )
        if _QUANTIZED.match(name) and name not in _OTHERS:
            raise ConfigError(f"The dtype policy '{name}' quantizes. {QUANTIZED}")
        if name not in (*FLOATS, *_MIXED, *_OTHERS):
            raise ConfigError(
                f"Cannot convert '{name}' to a mixed precision DTypePolicy. Valid policies include 'mixed_float16', "
                f"'mixed_bfloat16', and the name of any float dtype such as 'float32'; seqc has {', '.join(FLOATS)}."
            )
        if "bfloat16" in name:
            need_bfloat16(f"The dtype policy '{name}'")
        self._name = name

    @property
    def name(self) -> str:
        """Its name, such as "mixed_float16"."""
        return self._name

    @property
    def compute_dtype(self) -> str:
        """What layers compute in, and mostly give."""
        return _MIXED.get(self._name, self._name)

    @property
    def variable_dtype(self) -> str:
        """What weights are kept in."""
        return "float32" if self._name in _MIXED else self._name

    @property
    def quantization_mode(self) -> None:
        """None: seqc does not quantize."""
        return

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and type(other) is not DTypePolicyMap and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f'<{type(self).__name__} "{self.name}">'


@known("dtype_policies")
class FloatDTypePolicy(DTypePolicy):
    """The older name of `DTypePolicy`."""

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'


@known("dtype_policies")
class DTypePolicyMap(DTypePolicy, MutableMapping[str, DTypePolicy]):
    """Policies by the paths of layers, or by patterns of whole paths.

    Args:
        default_policy: for paths that no key fits; by default the global policy.
        policy_map: policies by path or pattern.

    Raises:
        ConfigError: the default is a map itself, or `policy_map` is no dictionary.
    """

    def __init__(self, default_policy: Any = None, policy_map: dict[str, Any] | None = None) -> None:
        if isinstance(default_policy, DTypePolicyMap):
            raise ConfigError("`default_policy` cannot be a `DTypePolicyMap`.")
        if policy_map is not None and not isinstance(policy_map, dict):
            raise ConfigError(
                f"If specified, `policy_map` must be a dict. Received: policy_map={policy_map} of type "
                f"{type(policy_map)}"
            )
        self._given = default_policy
        self._default = get(default_policy)
        self._policies = {key: get(policy) for key, policy in (policy_map or {}).items()}

    @property
    def default_policy(self) -> DTypePolicy:
        """The policy for paths that no key fits."""
        return self._default

    @property
    def name(self) -> str:
        return f"map_{self._default.name}"

    @property
    def compute_dtype(self) -> str:
        return self._default.compute_dtype

    @property
    def variable_dtype(self) -> str:
        return self._default.variable_dtype

    def __getitem__(self, path: str) -> DTypePolicy:
        """Returns the policy of a path: that of the same key, of the one pattern that fits it all, or the default.

        Raises:
            ConfigError: several patterns fit.
        """
        if path in self._policies:
            return self._policies[path]
        fitting = [pattern for pattern in self._policies if re.fullmatch(pattern, path)]
        if len(fitting) > 1:
            raise ConfigError(
                f"Path '{path}' matches multiple dtype policy specification keys: {fitting}. Please make sure each "
                "path only matches at most one dtype policy specification key in the DTypePolicyMap."
            )
        return self._policies[fitting[0]] if fitting else self._default

    def __setitem__(self, key: str, policy: Any) -> None:
        if key in self._policies:
            raise ConfigError(
                f"{key} already exist in the DTypePolicyMap with value {self._policies[key]}. Please make sure to not "
                "use duplicated keys."
            )
        self._policies[key] = get(policy)

    def __delitem__(self, key: str) -> None:
        del self._policies[key]

    def __contains__(self, key: object) -> bool:
        return key in self._policies

    def __iter__(self) -> Iterator[str]:
        return iter(self._policies)

    def __len__(self) -> int:
        return len(self._policies)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicyMap) and (self._default, self._policies) == (
            other._default,
            other._policies,
        )

    def __hash__(self) -> int:
        return id(self)

    def get_config(self) -> dict[str, Any]:
        return {"default_policy": self._given, "policy_map": dict(self._policies)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DTypePolicyMap:
        return cls(**revive(config))

    def __repr__(self) -> str:
        mapping = [(key, policy.name) for key, policy in self._policies.items()]
        return f"<DTypePolicyMap default_policy={self._default.name}, mapping={mapping}>"


def get(identifier: Any) -> DTypePolicy:
    """Returns the policy that a name, an element type, a description or a policy stands for; None is the global one.

    Raises:
        ConfigError: it stands for none.
    """
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if not isinstance(identifier, str):
        try:
            identifier = np.dtype(identifier).name
        except TypeError:
            identifier = getattr(identifier, "name", identifier)
    if not isinstance(identifier, str):
        raise ConfigError(
            "Cannot interpret `dtype` argument. Expected a string or an instance of DTypePolicy. Received: "
            f"dtype={identifier}"
        )
    return DTypePolicy(identifier)


def serialize(dtype_policy: DTypePolicy) -> dict[str, Any]:
    """Returns a policy as plain data."""
    return serialize_object(dtype_policy)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> DTypePolicy:
    """Returns the policy that plain data describe.

    Raises:
        ConfigError: they describe none, or one that quantizes.
    """
    name = config.get("class_name") if isinstance(config, dict) else None
    if str(name).endswith("DTypePolicy") and name not in ("DTypePolicy", "FloatDTypePolicy"):
        raise ConfigError(f"The dtype policy {name}({config.get('config')}) quantizes. {QUANTIZED}")
    found = revive(config, custom_objects)
    if not isinstance(found, DTypePolicy):
        raise ConfigError(f"{config!r} describes no dtype policy.")
    return found


def floatx() -> str:
    """Returns the element type that inputs, losses and metrics have by default."""
    return str(_state["floatx"])


def rate_dtype() -> str:
    """Returns the element type of rates, labels and weights of samples: `floatx()`, but never half precision."""
    return "float64" if floatx() == "float64" else "float32"


def set_floatx(value: str) -> None:
    """Sets the element type that inputs, losses and metrics have by default, and layers made before any policy is set.

    Raises:
        ConfigError: it is none of "float16", "bfloat16", "float32" and "float64".
    """
    if value not in FLOATS:
        raise ConfigError(f"Unknown `floatx` value: {value}. Expected one of {set(FLOATS)}")
    if value == "bfloat16":
        need_bfloat16("floatx 'bfloat16'")
    _state["floatx"] = str(value)


def dtype_policy() -> DTypePolicy:
    """Returns the policy of layers that are given none. It is made of `floatx()` when it is first asked for."""
    if _state["policy"] is None:
        _state["policy"] = DTypePolicy(floatx())
    return _state["policy"]  # type: ignore[no-any-return]


def set_dtype_policy(policy: str | DTypePolicy) -> None:
    """Sets the policy of layers that are made from now on and are given none.

    Raises:
        ConfigError: there is no such policy.
    """
    if not isinstance(policy, str | DTypePolicy):
        raise ConfigError(
            "Invalid `policy` argument. Expected the string name of a policy (such as 'mixed_float16') or a "
            f"`DTypePolicy` instance. Received: policy={policy} (of type {type(policy)})"
        )
    _state["policy"] = get(policy)


__getattr__ = absent(__name__, __all__)
