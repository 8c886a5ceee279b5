"""What is public: the names of seqc that people are to use, each once."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import import_module
from operator import attrgetter
from typing import Any

from seqc.errors import MissingDependencyError

# Public modules, in the order of the reference: path, title, and the base whose methods all classes there share.
MODULES: dict[str, tuple[str, str]] = {
    "seqc": ("Models and what they are made of", ""),
    "seqc.layers": ("Layers", "Layer"),
    "seqc.ops": ("Operations", ""),
    "seqc.ops.image": ("Operations on images", ""),
    "seqc.activations": ("Activations", ""),
    "seqc.losses": ("Losses", "Loss"),
    "seqc.metrics": ("Metrics", "Metric"),
    "seqc.optimizers": ("Optimizers", "Optimizer"),
    "seqc.optimizers.schedules": ("Schedules of the learning rate", "LearningRateSchedule"),
    "seqc.callbacks": ("Callbacks", "Callback"),
    "seqc.initializers": ("Initializers", "Initializer"),
    "seqc.regularizers": ("Regularizers", "Regularizer"),
    "seqc.constraints": ("Constraints", "Constraint"),
    "seqc.random": ("Random numbers", ""),
    "seqc.tree": ("Trees of tensors: lists, tuples and dictionaries of them", ""),
    "seqc.models": ("Loading and cloning models", ""),
    "seqc.saving": ("Files", ""),
    "seqc.export": ("Export", ""),
    "seqc.applications": ("Networks for pictures", ""),
    "seqc.datasets": ("Data sets", ""),
    "seqc.preprocessing": ("Windows of series and files of images", ""),
    "seqc.wrappers": ("Models in scikit-learn", ""),
    "seqc.utils": ("Utilities", ""),
    "seqc.config": ("Settings", ""),
    "seqc.dtype_policies": ("Policies of element types", ""),
    "seqc.mixed_precision": ("Mixed precision", ""),
    "seqc.backend": ("What older scripts ask Keras's backend for", ""),
    "seqc.errors": ("Errors", ""),
    "seqc_runtime": ("seqc_runtime", ""),
}
# Names that stand at one place of several which have them.
_HOMES = {"Layer": "seqc.layers", "Input": "seqc", "Model": "seqc", "Sequential": "seqc"}


# Of modules without a list of what is public.
_ONLY = {"seqc.export": ["export_graph", "quantize"], "seqc.datasets.mnist": ["load_data"]}
_OURS = ("seqc.", "seqc_runtime.")
# What layers, metrics and so on have beyond their base, for people; their other methods are for their subclasses here.
_OF_LEAVES = {
    "adapt", "count_rows", "from_config", "get_config", "get_initial_state", "get_vocabulary", "in_cooldown",
    "linear_to_mel_weight_matrix", "mean", "on_epoch_end", "optimizers", "output_size", "reset_states", "reset_state",
    "set_vocabulary", "state_size", "states", "variance", "vocabulary_size",
}  # fmt: skip


@dataclass
class Entry:
    """Something public.

    Attributes:
        module: the public module that has it, such as "seqc.layers".
        name: its name there, such as "Dense".
        thing: the class or function.
        aliases: other public paths of it.
        members: names of its methods and properties that the reference has with it.
    """

    module: str
    name: str
    thing: Any
    aliases: list[str] = field(default_factory=list)
    members: list[str] = field(default_factory=list)

    @property
    def path(self) -> str:
        return f"{self.module}.{self.name}"

    @property
    def is_class(self) -> bool:
        return isinstance(self.thing, type)


def public_names(path: str) -> list[str]:
    """Returns the names of classes and functions that a public module offers, sorted."""
    module = import_module(path)
    names = _ONLY.get(path) or getattr(module, "__all__", None)
    late = getattr(module, "_HOMES", {})  # what a module loads when somebody asks for it
    if path == "seqc.datasets":
        return [f"{name}.{loader}" for name in names or () for loader in public_names(f"{path}.{name}")]
    if names is None:
        names = [name for name, thing in vars(module).items() if _is_own(path, thing)]
    names = {*names, *late} if path not in _ONLY else names
    return sorted(name for name in names if not name.startswith("_") and callable(getattr(module, name)))


@cache
def inventory() -> tuple[Entry, ...]:
    """Returns everything public, each thing once: under its own name, in the module that is about it.

    What needs a package that is not installed is left out: the site is built with all of them, tests run without, too.
    """
    places: dict[int, list[tuple[str, str]]] = {}
    things: dict[int, Any] = {}
    for path in MODULES:
        with suppress(MissingDependencyError):
            for name in public_names(path):
                thing = attrgetter(name)(import_module(path))
                places.setdefault(id(thing), []).append((path, name))
                things[id(thing)] = thing
    entries = []
    for key, found in places.items():
        home = min(found, key=lambda place: _preference(place[0], place[1], things[key]))
        aliases = [f"{module}.{name}" for module, name in found if (module, name) != home]
        entries.append(Entry(*home, things[key], aliases))
    kinds = [entry.thing for entry in entries if entry.is_class]
    for entry in entries:
        if entry.is_class and not issubclass(entry.thing, BaseException):
            entry.members = sorted(_members(entry, kinds))
    return tuple(sorted(entries, key=lambda entry: (list(MODULES).index(entry.module), entry.name.lower())))


def _preference(module: str, name: str, thing: Any) -> tuple[Any, ...]:
    """The module that is about it comes before the root, its own name before another spelling of it."""
    own = getattr(thing, "__name__", name)
    return (_HOMES.get(name, module) != module, name != own, module == "seqc", list(MODULES).index(module), name)


def _members(entry: Entry, kinds: list[type]) -> Iterator[str]:
    """Yields the methods and properties that are shown with a class: those that no public base of it has."""
    bases = [kind for kind in kinds if kind is not entry.thing and issubclass(entry.thing, kind)]
    in_family = bool(MODULES[entry.module][1]) and entry.name != MODULES[entry.module][1]
    for name, thing in inspect.getmembers(entry.thing):
        if name.startswith("_") or not (inspect.isroutine(thing) or isinstance(thing, property | cached_property)):
            continue
        if any(hasattr(kind, name) for kind in bases) or (in_family and bases and name not in _OF_LEAVES):
            continue
        owner = next((kind for kind in entry.thing.__mro__ if name in vars(kind)), None)
        if owner is not None and owner.__module__.startswith(_OURS):
            made_by = getattr(function_of(entry.thing, name), "__module__", None) or "seqc."
            if made_by.startswith(_OURS):  # scikit-learn puts methods of its own into classes
                yield name


def function_of(kind: type, member: str) -> Any:
    """Returns the function behind a method or property of a class."""
    thing = inspect.getattr_static(kind, member)
    if isinstance(thing, cached_property):
        return thing.func
    return thing.fget if isinstance(thing, property) else getattr(kind, member)


def _is_own(path: str, thing: Any) -> bool:
    return (inspect.isfunction(thing) or isinstance(thing, type)) and f"{thing.__module__}.".startswith(f"{path}.")
