"""What layers, metrics and optimizers keep as plain attributes: alone, or in lists, tuples and dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter, is_
from typing import Any

from seqc.graph.tracing import Variable
from seqc.serialization import Configurable

# A list of this many numbers, say, is not looked through.
_MANY = 1000
_PLAIN = frozenset({bool, bytes, float, int, str, type(None)})


class Keeper(Configurable):
    """Keeps the variables that are assigned to its attributes, in the order in which they came, as Keras does.

    Variables may be put into lists and dictionaries later: these are looked through whenever the variables are asked
    for. What is taken out of them again no longer belongs to the object.
    """

    # Private attributes that hold what belongs elsewhere, or is counted already.
    _untracked: frozenset[str] = frozenset(
        {"_arguments", "_contained_variables", "_given", "_holding_attributes", "_kept_variables"}
    )

    def _start_keeping(self) -> None:
        self._kept_variables: list[Variable] = []
        # Those that lists, tuples and dictionaries held at the last look.
        self._contained_variables: list[Variable] = []

    def __setattr__(self, name: str, value: Any) -> None:
        mine = self.__dict__
        before = name in mine.get("_holding_attributes", ())
        if name in self._untracked or not (before or _may_hold(value)):
            super().__setattr__(name, value)
            return
        self._look_for_variables()
        # A variable that stands alone is known from here on; all else is asked later what it holds.
        if isinstance(value, Variable) and "_kept_variables" in mine:
            mine.get("_holding_attributes", {}).pop(name, None)
            self._keep_new_variables([value])
        else:
            mine.setdefault("_holding_attributes", {})[name] = None
        super().__setattr__(name, value)
        if "_kept_variables" in mine:
            # As in Keras, what stood there before stays.
            self._contained_variables = self._held_by_attributes(_is_variable)
            self._keep_new_variables(self._contained_variables)

    @property
    def _variables(self) -> list[Variable]:
        """All variables in the order in which they came; the list may be added to."""
        self._look_for_variables()
        return self._kept_variables

    def _look_for_variables(self) -> None:
        """Takes in what came into lists and dictionaries, and leaves out what was taken out of them."""
        mine = self.__dict__
        if "_kept_variables" not in mine or not mine.get("_holding_attributes"):
            return
        last, held = self._contained_variables, self._held_by_attributes(_is_variable)
        if len(held) == len(last) and all(map(is_, held, last)):
            return
        self._contained_variables = held
        gone = {id(v) for v in last} - {id(v) for v in held}
        if gone:
            self._keep_only([v for v in self._kept_variables if id(v) not in gone])
        # Of several lists, which are filled in turn, nothing but the variables tells which came first.
        self._keep_new_variables(sorted(held, key=attrgetter("number")))

    def _keep_new_variables(self, variables: Iterable[Variable]) -> None:
        known = {id(v) for v in self._kept_variables}
        for variable in distinct(variables):
            if id(variable) not in known:
                self._keep_variable(variable)

    def _keep_variable(self, variable: Variable) -> None:
        self._kept_variables.append(variable)

    def _keep_only(self, variables: list[Variable]) -> None:
        """Forgets all variables but these."""
        self._kept_variables[:] = variables

    def _mark_variables(self) -> tuple[int, set[str]]:
        """Returns what `_forget_variables_since` goes back to."""
        return len(self._variables), set(self.__dict__.get("_holding_attributes", ()))

    def _forget_variables_since(self, mark: tuple[int, set[str]]) -> None:
        """Forgets the variables that came since, so that they may be made anew."""
        count, holders = mark
        self._look_for_variables()
        self._keep_only(self._kept_variables[:count])
        mine = self.__dict__
        mine["_holding_attributes"] = {name: None for name in mine.get("_holding_attributes", ()) if name in holders}
        self._contained_variables = self._held_by_attributes(_is_variable)

    def own_metrics(self) -> list[Any]:
        """Returns the metrics that it keeps itself, in lists and dictionaries too."""
        found = self._held_by_attributes(_is_metric) if self.__dict__.get("_holding_attributes") else []
        return list(dict.fromkeys(found)) if found else found

    def _held_by_attributes(self, wanted: Callable[[Any], bool]) -> list[Any]:
        mine, found = self.__dict__, list[Any]()
        for name in mine.get("_holding_attributes", ()):
            _gather(mine.get(name), wanted, found)
        return found


def held_in(value: Any, wanted: Callable[[Any], bool]) -> list[Any]:
    """Returns what an attribute holds of what is wanted: itself, or what is in its list, tuple or dictionary."""
    found: list[Any] = []
    _gather(value, wanted, found)
    return found


def distinct(variables: Iterable[Variable]) -> list[Variable]:
    """Returns variables in order, each once."""
    return list({id(v): v for v in variables}.values())


def _gather(value: Any, wanted: Callable[[Any], bool], found: list[Any]) -> None:
    if not isinstance(value, list | tuple | dict):
        if wanted(value):
            found.append(value)
        return
    inside = list(value.values()) if isinstance(value, dict) else value
    if (len(inside) > _MANY and type(inside[0]) in _PLAIN) or _PLAIN.issuperset(map(type, inside)):
        return
    for one in inside:
        if isinstance(one, list | tuple | dict):
            _gather(one, wanted, found)
        elif wanted(one):
            found.append(one)


def _may_hold(value: Any) -> bool:
    """Tells whether an attribute holds a variable or metric, or may do so later."""
    if isinstance(value, tuple):
        return any(map(_may_hold, value))
    return isinstance(value, list | dict | Variable) or _is_metric(value)


def _is_variable(value: Any) -> bool:
    return isinstance(value, Variable)


def _is_metric(value: Any) -> bool:
    return getattr(type(value), "_kind", "") == "metrics"
