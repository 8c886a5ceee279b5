"""What a model needs before a loop can run: compile settings, checked data, traced steps."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from seqc import tree
from seqc.backends.numpy.kept import Kept, remember
from seqc.errors import ConfigError, DataError, ShapeError, TraceError
from seqc.graph.equal_sizes import SizesDiffer
from seqc.graph.ir import Array
from seqc.layers.base import Layer
from seqc.layers.call_errors import refuse_symbols_of_models
from seqc.losses.shapes import SizesWritten
from seqc.ops.loops import StepsUnknown
from seqc.seeds import next_seed
from seqc.training.arrange import arrange, arrange_weights, is_array, labelled, only_one, without_others
from seqc.training.as_given import data_as_given, fits, rehearse
from seqc.training.compiled import Compiled
from seqc.training.data import Batch, Data, FormedBatch, as_array, make_data, match_rank
from seqc.training.heads import says_several
from seqc.training.hooks import overrides
from seqc.training.sources import ArraySource, IterableSource, Prepare, Source, yields_batches
from seqc.training.step import Signature, Step, predict_step, test_step, train_step
from seqc.training.tables import InBatches, by_columns, columns_of, is_stream, is_table
from seqc.training.totals import Totals
from seqc.training.trainable import Trainable
from seqc.utils.display import note
from seqc.utils.garbage import collected_later

if TYPE_CHECKING:
    from seqc.export.session import VerifiedSession

# Steps kept for different kinds of batches; each new length of sequence, for instance, is one. Where steps that were
# dropped are needed again, there is room for them, as long as all have no more nodes than this, of some 450 bytes.
KEPT_STEPS, MOST_NODES = 64, 1 << 16

# Methods of a model's own that are given the samples, and may take more of them than the model's inputs.
_SEES_ALL = ("train_step", "test_step", "predict_step", "compute_loss")

_NOT_EAGER = (
    "compile(run_eagerly=True) does not change that: in seqc a step is always traced, and NumPy cannot compute in it."
)


class Stepper(Totals):
    """Compiles a model, prepares data for it, and runs single steps."""

    def __init__(self, model: Trainable) -> None:
        super().__init__(model)
        self._steps: OrderedDict[Any, Step] = OrderedDict()
        self._dropped_steps: dict[Any, bool] = {}
        self._most_steps = KEPT_STEPS
        self._kept = Kept()
        # What a step depends on besides the data: which layers and weights train, and the optimizer's variables.
        self.flags: tuple[Any, ...] = ()
        # The same as it was when training began: what a callback freezes counts from the next run on.
        self._trained_with: tuple[Any, ...] = ()
        self._slots: tuple[int, ...] = ()
        # Whether a layer keeps states from one batch to the next, which ties steps to the size of a batch.
        self._stateful = False
        # Whether a step of the model's own takes data in another form than the model does.
        self._as_given = False
        # Whether `compile` was asked to run steps without tracing them, which there is no way to do.
        self.asked_eager = False
        # The kinds of steps that were written for batches of one size, which so ties them to it.
        self._sized: set[str] = set()
        # What random layers draw by: a seed, and how many batches they have drawn for, of whatever kind.
        self._seed: int | None = None
        self._drawn = 0
        # The model in onnxruntime, by what it was made for; see `seqc.training.inference`.
        self.sessions: dict[Any, VerifiedSession] = {}

    def compile(self, **given: Any) -> None:
        """Sets optimizer, loss and metrics; for arguments see `Compiled`.

        A loss or metrics that are not given are those of the call before, as in Keras.
        """
        given |= {} if self.settings is None else self.settings.kept_by(given)
        names = self.model._output_names()
        # A Sequential model's output has no name that a script must know.
        outputs = getattr(self.model, "output_names", names if len(names) > 1 else [""])
        if self.model.shaped_by_call and not self.model.built and says_several(**given):
            outputs = []  # it is not known yet what the model gives
        self.settings = Compiled(**given, outputs=outputs, form=self._unnamed(outputs), keyed=self._keyed)
        self.forget_steps()

    @property
    def _keyed(self) -> bool:
        """Whether the model gives a dictionary."""
        return isinstance(self.model._output_tree, Mapping)

    def _unnamed(self, outputs: Sequence[str]) -> Any:
        """Returns the form of what the model gives, where its outputs have no names of their own; else None."""
        named = not self.model.shaped_by_call or hasattr(self.model, "output_names")
        return None if named or len(outputs) < 2 else self.model._output_tree

    def __getstate__(self) -> dict[str, Any]:
        """Returns what to copy and to pickle: everything but the model, and compiled steps, which are made again."""
        return vars(self) | {
            "_model": None,
            "_steps": OrderedDict(),
            "_dropped_steps": {},
            "_slots": (),
            "_kept": Kept(),
            "_counting": None,
            "sessions": {},
        }

    def forget_steps(self) -> None:
        """Drops the traced steps; the next use traces again."""
        self._steps.clear()
        self._dropped_steps.clear()
        self._sized.clear()
        self.sessions.clear()

    # -- steps -------------------------------------------------------------------------------------------------------

    def run_batch(self, kind: str, batch: Batch) -> list[Array]:
        """Runs a step on one batch and keeps the new state.

        Args:
            kind: "train", "test" or "predict". batch: inputs, labels and weights.
        """
        step = self.step_for(kind, batch)
        self._logged = step.logged
        if step.is_random and self._seed is None:
            self._seed = next_seed()
        number = self._drawn
        self._drawn += step.draws  # before it runs: should that be interrupted, no other batch has the same numbers
        return step.run([a for a in batch if a is not None], self._seed or 0, number)

    def step_for(self, kind: str, batch: Batch) -> Step:
        """Returns the step for such a batch, traced the first time."""
        sized = self._stateful or kind in self._sized
        step = self._step_for(kind, batch, sized)
        fits = sized or batch[0] is None or step.fits(len(batch[0]))
        return step if fits else self._step_for(kind, batch, sized=True)

    def _step_for(self, kind: str, batch: Batch, sized: bool) -> Step:
        """Returns a step for batches of any size, or, if `sized`, of this one."""
        rows = len(batch[0]) if sized and batch[0] is not None else None
        form = repr(batch.forms) if isinstance(batch, FormedBatch) else None
        state = (self._trained_with, self._slots) if kind == "train" else (self.flags, None)
        key = (kind, *state, rows, form, *map(_kind_of, batch))
        step = self._steps.get(key)
        if step is not None:
            with suppress(KeyError):  # where another thread has just dropped it
                self._steps.move_to_end(key)
            return step
        try:
            return self._trace_step(key, batch, sized)
        except (ShapeError, SizesWritten, StepsUnknown) as error:
            if sized or not _meets_other_size(error):
                raise
            # What is said to be as long as a batch is, as `ops.ones((32, 10))` for batches of 32, or done row by row.
            try:
                self._sized.add(kind)
                return self.step_for(kind, batch)
            except (ShapeError, DataError) as again:
                self._sized.remove(kind)
                fixed = any(port.shape and port.shape[0] is not None for port in self.model._ports())
                raise (again if fixed or isinstance(error, StepsUnknown) else error) from None

    @collected_later
    def _trace_step(self, key: tuple[Any, ...], batch: Batch, sized: bool) -> Step:
        self._refuse_own_function(key[0])
        model = self.model
        forms = batch.forms if isinstance(batch, FormedBatch) else None
        inputs = len(model._ports()) if forms is None else len(tree.flatten(forms[0]))
        signature = Signature.of(batch, inputs, sized, forms)
        # In a context of its own, as `traced` does it.
        apart = copy_context().run
        make = {"train": train_step, "test": test_step, "predict": predict_step}[key[0]]
        try:
            step = apart(make, model, signature)
        except TraceError as error:
            if self.asked_eager:
                raise type(error)(f"{error} {_NOT_EAGER}") from error
            raise
        refuse_symbols_of_models(step.graph)
        step = replace(step, kept=self._kept)
        self._make_room(key, step)
        self._steps[key] = step
        return step

    def _make_room(self, key: Any, step: Step) -> None:
        """Drops steps that were not used for the longest time, where there are too many with one more."""
        nodes = sum(len(one.graph.walk()) for one in (*self._steps.values(), step))
        if self._dropped_steps.pop(key, False) and nodes <= MOST_NODES:
            self._most_steps += 1
        while len(self._steps) >= self._most_steps or (len(self._steps) >= KEPT_STEPS and nodes > MOST_NODES):
            dropped, old = self._steps.popitem(last=False)
            nodes -= len(old.graph.walk())
            remember(self._dropped_steps, dropped, True)

    def _refuse_own_function(self, kind: str) -> None:
        name = f"make_{kind}_function"
        if hasattr(type(self.model), name):
            raise ConfigError(
                f"{type(self.model).__name__} defines {name}, which seqc would not call: it traces a whole step into "
                f"one graph. Override {kind}_step(data) instead, or write a loop of your own around {kind}_on_batch."
            )

    def prepare(self) -> Compiled:
        """Sets up the optimizer for the weights that train."""
        model = self.model
        compiled = self.compiled
        variables = model.trainable_weights
        if not variables:
            note(f"Model '{model.name}' has nothing to train: no layer with trainable weights.", warn=True)
        if not compiled.optimizer.built:
            compiled.optimizer.build(variables)
        self._slots = tuple(map(id, compiled.optimizer.variables))
        self._look_at_layers()
        self._trained_with = self.flags
        return compiled

    # -- data --------------------------------------------------------------------------------------------------------

    def samples(self, x: Any, some: bool = True) -> Data:
        """Returns checked samples for the model, which is built for them if it is not built yet.

        Args:
            some: whether there must be any.
        """
        xs = self._inputs(self._by_columns(x, None, labels=False)[0])
        return self._checked(xs, (), (), some or not self.model.built)

    def _checked(self, xs: list[Array], y: Sequence[Any], weight: Sequence[Any], some: bool = True) -> Data:
        """Returns checked data.

        Args:
            xs: an array per input. y, weight: what was given for each output. some: whether there must be samples.
        """
        model = self.model
        ports = model._ports()
        for i, port in enumerate(ports):
            if port.shape is not None and xs[i].ndim and len(xs[i]):
                xs[i] = match_rank(xs[i], port.shape)
        self._look_at_layers()
        names = [port.name for port in ports]
        return make_data(xs, y, weight, [port.dtype for port in ports], names, model._output_names(), some=some)

    def _look_at_layers(self) -> None:
        owners = list(self.model._owners())
        # Whether each layer and weight trains, and how often the layer's meaning has changed.
        self.flags = (
            *((owner.trainable, getattr(owner, "changes", 0)) for owner in owners),
            *(variable.trainable for owner in owners for variable in owner._variables),
        )
        self._stateful = any(getattr(owner, "stateful", False) for owner in owners)

    def _inputs(self, x: Any) -> list[Array]:
        """Returns an array per input, of a model that is built for them if it is not built yet."""
        model = self.model
        if not model.built and not self._calls_nothing:
            self._build_for(x)
        names = [port.name for port in model._ports()]
        if not model.shaped_by_call and not any(overrides(model, name) for name in _SEES_ALL):
            x = without_others(x, names, model._input_tree)
        found = (
            [only_one(x, names[0], "x", "input", model.name)]
            if len(names) == 1
            else arrange(x, names, "x", "input", form=model._input_tree)
        )
        return [as_array(one, what) for one, what in zip(found, labelled("x", names), strict=True)]

    def _build_for(self, x: Any) -> None:
        """Builds the model for samples, unless there is something wrong with them that is said later."""
        several = self.model.shaped_by_call and (
            isinstance(x, Mapping) or (isinstance(x, list | tuple) and len(x) > 1 and all(map(is_array, x)))
        )
        if not several:
            x = only_one(x, "", "x", "input", self.model.name)
        arrays = tree.map_structure(lambda leaf: as_array(leaf, "x"), x) if several else as_array(x, "x")
        if all(array.ndim and len(array) for array in tree.flatten(arrays)):
            self.model.build_for_data(arrays)

    def _by_columns(self, x: Any, y: Any, labels: bool) -> tuple[Any, Any]:
        """Returns (x, y) of a table, or of a dictionary that may hold labels beside the samples.

        Args:
            labels: whether x may hold the labels.
        """
        known = self.model.built
        names = self.model._output_names() if known else []
        return by_columns(x, y, self.model._ports() if known else [], names, labels)

    def only_input(self, x: Any) -> Any:
        """Takes the samples out of a dictionary that names the model's one input."""
        model = self.model
        if not isinstance(x, Mapping) or len(x) != 1:
            return x
        return only_one(x, model._ports()[0].name, "x", "input", model.name)

    def labelled_data(self, x: Any, y: Any, weight: Any) -> Data:
        """Returns checked data for training or evaluation.

        A step of the model's own takes them as they are given where the model does not take them so, and what it calls
        the model on builds it.
        """
        model = self.model
        kind = next((name for name in ("train_step", "test_step") if overrides(model, name)), None)
        if kind is None:
            return self._data_for_model(x, y, weight)
        given = data_as_given(x, y, weight) if self._as_given else None
        if given is not None:
            return self._taken_as_given(given)
        new = not model.built and not self._calls_nothing
        called, refused = self._step_takes(kind, x, y, weight) if new else (None, None)
        if called is not None and model.built and not fits(model, x):
            return self._taken_as_given(called)
        try:
            return self._data_for_model(x, y, weight)
        except Exception as error:
            called, refused = (called, refused) if new else self._step_takes(kind, x, y, weight)
            if called is None and refused is not None:
                raise refused from error
            if called is None:
                raise
        return self._taken_as_given(called)

    def _step_takes(self, kind: str, x: Any, y: Any, weight: Any) -> tuple[Data | None, Exception | None]:
        """Returns data as they are given, if the model's own step can be called on them, or else why it cannot."""
        try:
            data = data_as_given(x, y, weight)
        except DataError:  # which is said of the model's inputs, too
            return None, None
        refused = None if data is None else rehearse(self.model, data, kind)
        return None if refused is not None else data, refused

    def _taken_as_given(self, data: Data) -> Data:
        self._as_given = True
        if self.model.built:
            self._for_outputs()
        self._look_at_layers()
        return data

    def _data_for_model(self, x: Any, y: Any, weight: Any) -> Data:
        """Returns checked data for the model's inputs and outputs."""
        model = self.model
        self.compiled  # noqa: B018  for its error
        x, y = self._by_columns(x, y, labels=y is None)
        xs = self._inputs(x)
        names, compiled = model._output_names(), self._for_outputs()
        if len(names) == 1:
            ys, weights = (
                [only_one(given, names[0], what, "output", model.name)]
                for given, what in ((y, "y"), (weight, "sample_weight"))
            )
        else:
            form = model._output_tree
            y = columns_of(y, "y") if is_table(y) else y
            wanting = [i for i, head in enumerate(compiled.heads) if head.needs_labels]
            if is_array(y) and len(wanting) == 1:  # compile(loss=[one, None])
                y = [y if i in wanting else None for i in range(len(names))]
            ys = [None] * len(names) if y is None else arrange(y, names, "y", "output", optional=True, form=form)
            weights = arrange_weights(weight, names, form)
        for head, one, what in zip(compiled.heads, ys, labelled("y", names), strict=True):
            if one is None and head.needs_labels and not self._says_itself:
                raise DataError(f"{head.needs_labels} needs labels: give {what}, one row per row of x.")
        data = self._checked(xs, ys, weights)
        if any(one is not None for one in data.y) and not self._calls_nothing:
            shapes = model._output_shapes()  # `output_shape` has the form of the model's result
            compiled.resolve([None if one is None else (None, *one.shape[1:]) for one in data.y], shapes)
            for head, one, shape in zip(compiled.heads, data.y, shapes, strict=True):
                head.check_labels(one, shape)
        return data

    def _for_outputs(self) -> Compiled:
        """Returns the settings for the outputs of a model of one's own, compiled before it knew what it gives."""
        compiled, names = self.compiled, self.model._output_names()
        if len(compiled.heads) != len(names):
            given = (compiled.given_loss, compiled.given_metrics, compiled.given_weighted, compiled.loss_weights)
            shown = compiled.shown_loss
            self.settings = compiled = Compiled(compiled.optimizer, *given, names, self._unnamed(names), self._keyed)
            compiled.shown_loss = shown
        return compiled

    @property
    def needs_labels(self) -> bool:
        """Whether a loss or a metric wants labels, which the model does not make itself."""
        return not self._says_itself and any(head.needs_labels for head in self._for_outputs().heads)

    @property
    def _says_itself(self) -> bool:
        """Whether the model may make something of samples without labels, whatever `compile` says of them."""
        return any(overrides(self.model, name) for name in ("compute_loss", "train_step", "test_step"))

    @property
    def _calls_nothing(self) -> bool:
        """Whether the model has steps of its own and no `call`, so that it has no output to speak of."""
        model = self.model
        return getattr(type(model), "call", None) is Layer.call and overrides(model, "train_step")

    def rehearse(self, x: Any, y: Any = None, sample_weight: Any = None) -> None:
        """Traces the evaluation of such data without running it, and so finds what does not fit. Nothing is drawn.

        Raises:
            SeqcError: what `evaluate` would raise.
        """
        self.step_for("test", self.labelled_data(x, y, sample_weight).rows(slice(0, 1)))

    def source(
        self,
        given: tuple[Any, Any, Any],
        prepare: Prepare,
        batch_size: int | None,
        per_epoch: int | None,
        shuffle: bool | str = False,
        what: str = "x",
    ) -> Source:
        """Returns where batches come from: arrays (x, y, sample_weight), or an x that gives batches itself."""
        x, y, weight = given
        if not yields_batches(x):
            return ArraySource(prepare(x, y, weight), batch_size, shuffle, per_epoch)
        if y is not None or weight is not None:
            raise DataError(
                f"{what} ({type(x).__name__}) gives batches itself: y and sample_weight belong into them, as "
                "(x, y, sample_weight)."
            )
        if is_stream(x) and batch_size is not None:
            x = InBatches(x, batch_size)
        source = IterableSource(x, prepare, shuffle, per_epoch, what)
        source.first()  # so that the model is built for it, and errors come before anything has changed
        return source


def _kind_of(array: Array | None) -> Any:
    """Returns what a step is traced for: dtype and shape of a row."""
    return None if array is None else (array.dtype, array.shape[1:])


def _meets_other_size(error: BaseException | None) -> bool:
    """Tells whether an error is about sizes that are not the same or not known, or comes of one."""
    known = isinstance(error, SizesDiffer | SizesWritten | StepsUnknown)
    return known or (error is not None and _meets_other_size(error.__cause__))
