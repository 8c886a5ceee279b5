"""What owns weights: variables of its own, and other owners inside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from seqc import constraints, dtype_policies, file_scope, initializers, regularizers
from seqc.attributes import Keeper, distinct, held_in
from seqc.dtype_policies import DTypePolicy, DTypePolicyMap
from seqc.errors import ConfigError, NotBuiltError, ShapeError
from seqc.graph.element_types import FLOATS, HALVES
from seqc.graph.ir import Array
from seqc.graph.tracing import Variable
from seqc.layers._state import fill


class WeightOwner(Keeper):
    """Keeps variables and other owners that are assigned to its attributes, as Keras does.

    Attributes:
        name: last part of its path. built: whether it has made its weights.
    """

    name: str
    built: bool
    _dtype_policy: DTypePolicy
    _trainable: bool
    _children: dict[str, Any]
    _parent_path: str
    # A transparent container (Sequential) does not show in the paths of its layers' weights.
    _transparent = False
    _untracked = Keeper._untracked | {"_came_trainable", "_children", "_input_sizes", "_symbolic_calls"}

    def _start_owning(self, trainable: bool) -> None:
        self._trainable = trainable
        self._start_keeping()
        self._came_trainable: list[Variable] = []
        self._parent_path = ""
        self._children = {}

    def add_weight(
        self,
        shape: Any = (),
        initializer: Any = "glorot_uniform",
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        name: str | None = None,
        **_: Any,
    ) -> Variable:
        """Makes a weight of the layer.

        Args:
            shape: its sizes, or one size; a scalar by default.
            initializer: name or object of `seqc.initializers`; zeros for None, unless it is of floats.
            dtype: by default that in which the layer keeps its weights.
            trainable: whether the optimizer may change it.
            autocast: whether the layer reads it in what it computes in, where that is another dtype.
            regularizer, constraint: names or objects of `seqc.regularizers` and `seqc.constraints`.
            name: last part of its path.

        Raises:
            ShapeError: a size of the shape is not known.
        """
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        label = name or f"variable_{len(self._variables)}"
        if any(s is None for s in sizes):
            raise ShapeError(
                "Shapes used to initialize variables must be fully-defined (no `None` dimensions). Received: "
                f"shape={sizes} for variable path='{self.path}/{label}'. Say the size in the model's Input."
            )
        sizes, kind = tuple(int(s) for s in sizes), np.dtype(self.dtype if dtype is None else dtype)
        floats = kind.name in FLOATS
        file_scope.reserve(sizes, kind.itemsize, f"{self.path}/{label}")
        # Weights that a file is about to replace need no random numbers.
        replaced = file_scope.reading() and type(self).load_own_variables is WeightOwner.load_own_variables
        default = "glorot_uniform" if floats else "zeros"
        # Random numbers are drawn in single precision for half of it, too.
        drawn = "float32" if kind.name in HALVES else kind.name
        start = initializers.get("zeros" if replaced else initializer or default)(sizes, drawn)
        variable = Variable(
            np.asarray(start, kind),
            name=label,
            trainable=trainable,
            autocast=autocast,
            regularizer=regularizers.get(regularizer),
            constraint=constraints.get(constraint),
        )
        variable.path = f"{self.path}/{label}"
        self._look_for_variables()
        self._keep_variable(variable)
        if not self._trainable:  # as in Keras, this is not so of variables that come as attributes
            variable.trainable = False
        return variable

    def _keep_variable(self, variable: Variable) -> None:
        super()._keep_variable(variable)
        # What it came as: it keeps its place among those of the layer when it is frozen, and is frozen with the layer.
        if variable.trainable:
            self._came_trainable.append(variable)

    def _keep_only(self, variables: list[Variable]) -> None:
        super()._keep_only(variables)
        kept = {id(v) for v in variables}
        self._came_trainable[:] = [v for v in self._came_trainable if id(v) in kept]

    def _learned(self) -> list[Variable]:
        """Returns the variables that were to be learned when the layer got them."""
        self._look_for_variables()
        return self._came_trainable

    @property
    def dtype_policy(self) -> DTypePolicy:
        """What the layer computes in, and what it keeps its weights in."""
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, policy: Any) -> None:
        self._dtype_policy = dtype_policies.get(policy)

    def _policy_here(self) -> DTypePolicy:
        policy = self._dtype_policy
        return policy[self.path] if isinstance(policy, DTypePolicyMap) else policy

    @property
    def compute_dtype(self) -> str:
        """The element type of what the layer computes."""
        return self._policy_here().compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The element type that the layer keeps its weights in."""
        return self._policy_here().variable_dtype

    dtype = variable_dtype

    @property
    def path(self) -> str:
        """Names of the layers around it, and its own."""
        return f"{self._parent_path}/{self.name}" if self._parent_path else self.name

    def __setattr__(self, name: str, value: Any) -> None:
        began = "_children" in self.__dict__
        if not began and name not in self._untracked and held_in(value, _belongs):
            raise ConfigError(
                f"{type(self).__name__} keeps a layer or weight as '{name}' before its __init__ has called "
                "super().__init__(**kwargs), so that it would not belong to the layer. Call that first."
            )
        # Layers kept as attributes belong to the layer, as in Keras; an empty container may get some later.
        owners = owners_in(value)
        if began and name not in self._untracked and (owners or (isinstance(value, list | dict) and not value)):
            self._refuse_cycle(name, value)
            self._children[name] = value
            for child in owners:
                child._set_parent(self.path if not self._transparent else self._parent_path)
        super().__setattr__(name, value)

    def _refuse_cycle(self, name: str, value: Any) -> None:
        for child in owners_in(value):
            if any(owner is self for owner in child._owners()):
                inside = "itself" if child is self else f"'{child.name}', which it is inside of,"
                raise ConfigError(
                    f"{type(self).__name__} '{self.name}' keeps {inside} as '{name}', so that it would be a part of "
                    "itself. Hand over what is needed of it as an argument of call, or keep it out of sight in a "
                    "function: lambda: other."
                )

    def _set_parent(self, path: str) -> None:
        """Tells this owner and those inside it where they are; one that is in several places is in the last one."""
        paths, waiting = {id(self): path}, [self]
        while waiting:
            owner = waiting.pop()
            owner._parent_path = paths[id(owner)]
            for variable in owner._variables:
                variable.path = f"{owner.path}/{variable.name}"
            for child in owner.sublayers():
                if id(child) not in paths:
                    paths[id(child)] = owner.path if not owner._transparent else owner._parent_path
                    waiting.append(child)

    def sublayers(self) -> Iterator[WeightOwner]:
        """Yields the layers this one is made of, not those inside them."""
        for value in self._children.values():
            yield from owners_in(value)

    def _owners(self) -> Iterator[WeightOwner]:
        """Yields this owner and all those inside it, from the outside in and each once."""
        waiting, seen = [self], set()
        while waiting:
            owner = waiting.pop()
            if id(owner) in seen:
                continue
            seen.add(id(owner))
            yield owner
            waiting += reversed(list(owner.sublayers()))

    def _own_weights(self) -> list[Variable]:
        learned = {id(v) for v in self._learned()}
        return sorted(self._variables, key=lambda v: id(v) not in learned)

    def _weights_by_kind(self) -> list[Variable]:
        """Returns all weights in the order of older files: first those that train, going by the flags of layers.

        Readers know which layers train, and not which of their weights do.
        """
        owners = [owner for owner in self._owners() if owner._trainable] if self._trainable else []
        trained = {id(v) for owner in owners for v in owner._learned()}
        return sorted(self.weights, key=lambda v: id(v) not in trained)

    @property
    def weights(self) -> list[Variable]:
        """All weights: those of the layer, then those of the layers inside it, trainable ones first within each."""
        return distinct(v for owner in self._owners() for v in owner._own_weights())

    @property
    def trainable(self) -> bool:
        """Whether its weights are learned; setting it goes for all of them that can be, and for layers inside, too.

        What is set for one of these later goes for that: a layer unfrozen in a frozen model trains with a model around.
        """
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for owner in self._owners():
            owner._trainable = bool(value)
            for variable in owner._learned():
                variable.trainable = bool(value)

    def _described_inside(self) -> Sequence[WeightOwner]:
        """Returns the layers inside that have configurations of their own in that of this one."""
        return ()

    def _freeze_as_saved(self) -> None:
        """Freezes what is inside layers whose configuration says only that they do not train themselves."""
        seen: set[int] = set()  # models that hold one another twice would be gone through again and again
        waiting: list[WeightOwner] = [self]
        while waiting:
            one = waiting.pop()
            if id(one) in seen:
                continue
            seen.add(id(one))
            described = one._described_inside()
            waiting += described
            if not described and not one._trainable:
                one.trainable = False

    @property
    def trainable_weights(self) -> list[Variable]:
        """Variables that gradients change; none where this layer itself is frozen, whatever is inside it."""
        return [v for v in self.weights if v.trainable] if self._trainable else []

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """Variables that gradients do not change: statistics, seeds, and all of a layer that is frozen."""
        trainable = {id(v) for v in self.trainable_weights}
        return [v for v in self.weights if id(v) not in trainable]

    variables = weights
    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    def get_weights(self) -> list[Array]:
        """Returns copies of all weights, in the order of `weights`."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: Any) -> None:
        """Sets all weights from arrays in the order of `weights`.

        Raises:
            ShapeError: their number or a shape differs; nothing is set then.
        """
        variables, arrays = self.weights, [np.asarray(w) for w in weights]
        if len(variables) != len(arrays):
            raise ShapeError(
                f"You called `set_weights(weights)` on layer '{self.name}' with a weight list of length {len(arrays)}, "
                f"but the layer was expecting {len(variables)} weights."
            )
        for variable, array in zip(variables, arrays, strict=True):
            if variable.shape != array.shape:
                raise ShapeError(
                    f"Layer {self.name} weight shape {variable.shape} is not compatible with provided weight shape "
                    f"{array.shape} (weight '{variable.path}')."
                )
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)

    def save_own_variables(self, store: dict[str, Any]) -> None:
        """Puts the layer's own arrays into a file's store, trainable ones first; a subclass may store others."""
        store.update({str(i): v.numpy() for i, v in enumerate(self._own_weights())})

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Sets the layer's own arrays from a file's store.

        Raises:
            SavingError: their number or a shape differs.
        """
        fill(self._own_weights(), store, f"Layer '{self.name}' ({type(self).__name__})")

    def count_params(self) -> int:
        """Returns the number of scalars in all weights."""
        if not self.built:
            raise NotBuiltError(
                f"You tried to call `count_params` on layer '{self.name}', but the layer isn't built. You can build it "
                "manually via: `layer.build(input_shape)`."
            )
        return sum(int(np.prod(v.shape)) for v in self.weights)


def owners_in(value: Any) -> list[WeightOwner]:
    """Returns the owners that an attribute holds: itself, or those in its list, tuple or dictionary, however deep."""
    return [value] if isinstance(value, WeightOwner) else held_in(value, _is_owner)


def _is_owner(value: Any) -> bool:
    return isinstance(value, WeightOwner)


def _belongs(value: Any) -> bool:
    return isinstance(value, WeightOwner | Variable)
