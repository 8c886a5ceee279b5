"""A list of layers as one, for data of any form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqc.errors import ArgumentTypeError
from seqc.known_classes import known
from seqc.layers.base import Layer


@known("layers")
class Pipeline(Layer):
    """Layers one after the other; what the first takes may be a dictionary, and what each gives goes to the next.

    Args:
        layers: the layers. name: of the pipeline.
    """

    takes_several = True

    def __init__(self, layers: Sequence[Layer], name: str | None = None) -> None:
        if not isinstance(layers, list | tuple) or not all(isinstance(layer, Layer) for layer in layers):
            raise ArgumentTypeError(f"Pipeline needs a list of layers. Received: layers={layers!r}")
        super().__init__(name=name)
        self.layers = list(layers)
        self.built = True

    def call(self, inputs: Any, training: bool = True, mask: Any = None) -> Any:
        for layer in self.layers:
            inputs = layer(inputs, training=training)
        return inputs

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {key: config[key] for key in ("layers", "name")}  # as Keras writes it
