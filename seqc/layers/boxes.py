"""A layer for the boxes that go with images."""

from __future__ import annotations

from typing import Any

from seqc import ops
from seqc.argument_kinds import is_whole
from seqc.errors import ConfigError
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.layers._images import ImageLayer


@known("layers")
class MaxNumBoundingBoxes(ImageLayer):
    """Gives each image of a dictionary as many boxes, leaving the last ones out or adding some.

    Args:
        max_number: how many. fill_value: the numbers and the label of boxes that are added.
        bounding_box_format: accepted for Keras's sake, and needed.

    Shapes: boxes (batch, number, 4) and labels (batch, number) to (batch, max_number, 4) and (batch, max_number).
    """

    def __init__(self, max_number: int, fill_value: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not is_whole(max_number) or max_number < 1:
            raise ConfigError(
                f"The `max_number` argument should be a positive integer. Received: max_number={max_number}"
            )
        self.max_number, self.fill_value = int(max_number), int(fill_value)

    def result(self, images: Value, training: bool) -> Value:
        return images

    def boxes_changed(self, boxes: dict[str, Value], images: Value) -> dict[str, Value]:
        def brought(value: Value) -> Value:
            borders = [(0, self.max_number if axis == 1 else 0) for axis in range(value.type.rank)]
            return ops.pad(value, borders, constant_values=self.fill_value)[:, : self.max_number]

        return {name: brought(value) for name, value in boxes.items()}
