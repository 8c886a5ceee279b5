"""What training asks of a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from seqc.graph.ir import Graph, Value
from seqc.graph.tracing import Trace, Variable
from seqc.training.arrange import Port

if TYPE_CHECKING:
    from seqc.training.trainer import Trainer


class Trainable(Protocol):
    """A model as its `Trainer` sees it: what it takes and gives, its weights, and what it may say of a step itself.

    The last are Keras's methods of a model; `seqc.training.hooks` has what they do where a model says nothing.
    """

    name: str
    built: bool
    stop_training: bool
    stop_evaluating: bool
    stop_predicting: bool
    _trainer: Trainer
    # The forms of what it takes and gives: one tensor, or lists and dictionaries of them.
    _input_tree: Any
    _output_tree: Any

    # -- what it takes and gives -------------------------------------------------------------------------------------

    def build(self, input_shape: Any = None) -> None:
        """Makes all weights."""

    def build_for_data(self, x: Any) -> None:
        """Makes all weights for samples: an array, or a list or dictionary of arrays."""

    @property
    def shaped_by_call(self) -> bool:
        """Whether what it takes is what it is called on first, one tensor or several."""

    def forward(self, x: Any, training: bool = False) -> Any:
        """Returns what `call` makes of the input in the graph that is being traced."""

    def graph(self) -> tuple[Graph, Trace]:
        """Returns the inference graph with one input per weight, and the trace that says which is which."""

    def _ports(self) -> list[Port]:
        """Returns what the model takes."""

    def _output_names(self) -> list[str]:
        """Returns the names of the outputs."""

    def _output_shapes(self) -> Sequence[tuple[int | None, ...]]:
        """Returns the shape of each output, the batch first."""

    def _owners(self) -> Iterator[Any]:
        """Yields the model and the layers in it."""

    @property
    def trainable_weights(self) -> list[Variable]: ...

    # -- what it may say itself --------------------------------------------------------------------------------------

    @property
    def losses(self) -> list[Value]: ...

    @property
    def metrics(self) -> list[Any]: ...

    def reset_metrics(self) -> None: ...

    def get_metrics_result(self) -> dict[str, Any]: ...

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any: ...

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]: ...

    def train_step(self, data: Any) -> Any: ...

    def test_step(self, data: Any) -> Any: ...

    def predict_step(self, data: Any) -> Any: ...
