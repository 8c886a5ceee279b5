"""Records what Keras's functions of bounding boxes give: python -m kit.record_boxes

Run it with a Python that has Keras 3; nothing of seqc is needed. It writes `cases/box_cases.npz`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

CASES = Path(__file__).resolve().parents[1] / "cases"
FORMATS = (
    "xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh",
)  # fmt: skip


def results(boxes: Any) -> dict[str, Any]:
    """Returns, by name, what a module with the names of `keras.utils.bounding_boxes` computes."""
    draw = np.random.default_rng(1)
    corners = [draw.uniform(0, 20, (2, 3, 2)) for _ in range(2)]
    one, other = (np.concatenate([c, c + draw.uniform(1, 9, c.shape)], -1).astype("float32") for c in corners)
    found: dict[str, Any] = {}
    for source in FORMATS:
        given = np.asarray(boxes.convert_format(one, "xyxy", source, height=30, width=25))
        for target in FORMATS:
            found[f"{source}-{target}"] = boxes.convert_format(given, source, target, height=30, width=25)
    found["iou"] = boxes.compute_iou(one, other, "xyxy")
    found["iou-single"] = boxes.compute_iou(one[0], other[1], "center_xywh")
    masked = np.where(np.arange(3)[:, None] == 1, -1, one).astype("float32")
    found["iou-masked"] = boxes.compute_iou(masked, other, "xyxy", use_masking=True, mask_val=-2)
    found["ciou"] = boxes.compute_ciou(one, other, "xyxy")
    deltas = boxes.encode_box_to_deltas(one, other, "xyxy", "xywh", variance=[0.1, 0.1, 0.2, 0.2])
    found["deltas"] = deltas
    found["decoded"] = boxes.decode_deltas_to_boxes(one, deltas, "xyxy", "xywh", variance=[0.1, 0.1, 0.2, 0.2])
    found["deltas-of-centers"] = boxes.encode_box_to_deltas(one, other, "xyxy", "xyxy", encoding_format="center_xywh")
    outside = {"boxes": one * 1.5 - 8, "labels": np.array([[1, 2, 3], [4, 5, 6]])}
    inside = boxes.clip_to_image_size(outside, height=15, width=12)
    found["inside"], found["labels"] = inside["boxes"], inside["labels"]
    found["cropped"], found["padded"] = boxes.crop(one, 3, 5, 10, 9), boxes.pad(one, 3, 5)
    numbers = ((30, -70), (0.1, 0.2), (-0.1, 0.3), (1.2, 0.7), (10, -5), (3, 20))
    turns = [np.array(pair, "float32") for pair in numbers]
    found["turned"] = boxes.affine_transform(one, *turns, height=30, width=25)
    return {name: np.asarray(value) for name, value in found.items()}


def main() -> None:
    import keras

    np.savez_compressed(CASES / "box_cases.npz", **results(keras.utils.bounding_boxes))


if __name__ == "__main__":
    main()
