"""The workloads in plain PyTorch: channels first, eager, outputs as its losses want them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from workloads import BOTTLENECKS, SEPARABLE, Workload

# Keras's, for batches and for layers.
EPSILON = 1e-3

LOSSES: dict[str, Callable[[], nn.Module]] = {
    "mse": nn.MSELoss,
    "binary_crossentropy": nn.BCELoss,
    "sparse_categorical_crossentropy": nn.CrossEntropyLoss,
}


class LastStep(nn.Module):
    """A recurrent network of which only the last step goes on."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps: torch.Tensor = self.network(x)[0]
        return steps[:, -1]


class LastOfBoth(nn.Module):
    """A bidirectional network of which the final state of either direction goes on, as in Keras."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        final: torch.Tensor = self.network(x)[1]
        return torch.cat((final[0], final[1]), 1)


class Shortcut(nn.Module):
    """What two ways from the same input give, added up, and what follows."""

    def __init__(self, way: nn.Module, other: nn.Module, then: nn.Module) -> None:
        super().__init__()
        self.way, self.other, self.then = way, other, then

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.then(self.way(x) + self.other(x))
        return result


class SelfAttention(nn.Module):
    """Attention of a sequence to itself."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.attention(x, x, x, need_weights=False)[0]
        return result


class MeanOfSteps(nn.Module):
    """The mean over a sequence."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(1)


def build(name: str) -> nn.Module:
    """Returns the model of a workload."""
    return nn.Sequential(*MODELS[name]())


def data(workload: Workload, steps: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns samples and labels of one epoch, or of so many steps, as PyTorch wants them.

    Channels come first, and images lie in channels-last memory.
    """
    x, y = (torch.from_numpy(a) for a in workload.data(steps))
    if workload.is_image:
        same = y.ndim == x.ndim
        x = x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        return x, (x if same else y)
    if workload.name == "cnn1d":
        x = x.permute(0, 2, 1).contiguous()
    return x, y


def take_weights(model: nn.Module, weights: Mapping[str, Any]) -> None:
    """Gives a model the weights of Keras's, by class, number of the layer as it was made, and number of the weight."""
    counts: dict[str, int] = {}
    for part in model.modules():
        kind = CLASSES.get(type(part))
        if kind is None:
            continue
        counts[kind] = counts.get(kind, -1) + 1
        found = [
            torch.from_numpy(w) for key, w in weights.items() if key.rpartition(" ")[0] == f"{kind} {counts[kind]}"
        ]
        if isinstance(part, nn.MultiheadAttention):
            *projections, kernel, bias = found
            kernels, biases = projections[::2], projections[1::2]
            found = [torch.cat([w.flatten(1).T for w in kernels]), torch.cat([b.flatten() for b in biases])]
            found += [kernel.flatten(0, 1).T, bias]
        elif isinstance(part, nn.Linear):
            found[0] = found[0].T
        elif isinstance(part, nn.Conv2d):
            found[0] = found[0].permute(3, 2, 0, 1)
        for parameter, w in zip(part.parameters(), found, strict=True):
            parameter.copy_(w)


def _mlp_tiny() -> list[nn.Module]:
    return [nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid()]


def _mlp() -> list[nn.Module]:
    return [nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10)]


def _cnn() -> list[nn.Module]:
    convolutions = [nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)]
    return [*convolutions, nn.Flatten(), nn.Dropout(0.5), nn.Linear(1600, 10)]


def _normalized(inner: int, outer: int, size: int = 3, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inner, outer, size, stride, size // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outer, EPSILON, momentum=0.01), nn.ReLU()]


def _vggbn() -> list[nn.Module]:
    first = [*_normalized(3, 32), *_normalized(32, 32), nn.MaxPool2d(2)]
    second = [*_normalized(32, 64), *_normalized(64, 64), nn.MaxPool2d(2)]
    return [*first, *second, nn.Flatten(), nn.Linear(4096, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)]


def _cnn1d() -> list[nn.Module]:
    first = [nn.Conv1d(9, 64, 5), nn.ReLU(), nn.Conv1d(64, 64, 5), nn.ReLU(), nn.MaxPool1d(2)]
    second = [nn.Conv1d(64, 128, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten()]
    return [*first, *second, nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 6)]


def _lstm() -> list[nn.Module]:
    return [LastStep(nn.LSTM(32, 64, num_layers=2, batch_first=True)), nn.Linear(64, 1)]


def _gru_text() -> list[nn.Module]:
    network = nn.GRU(64, 48, batch_first=True, bidirectional=True)
    return [nn.Embedding(5000, 64), LastOfBoth(network), nn.Linear(96, 1), nn.Sigmoid()]


def _mobilenet() -> list[nn.Module]:
    stack, channels = _normalized(3, 16, stride=2), 16
    for filters, stride in SEPARABLE:
        stack += _normalized(channels, channels, stride=stride, groups=channels)
        stack += _normalized(channels, filters, size=1)
        channels = filters
    return [*stack, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)]


def _autoencoder() -> list[nn.Module]:
    down = [nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()]
    up = [nn.ConvTranspose2d(32, 16, 3, 2, 1, 1), nn.ReLU(), nn.ConvTranspose2d(16, 1, 3, 2, 1, 1), nn.Sigmoid()]
    return [*down, *up]


def _residual() -> list[nn.Module]:
    stack, channels = _normalized(3, 32), 32
    for inner, filters, stride in BOTTLENECKS:
        way = [
            *_normalized(channels, inner, 1, stride),
            *_normalized(inner, inner),
            *_normalized(inner, filters, 1)[:2],
        ]
        same = channels == filters and stride == 1
        other = nn.Identity() if same else nn.Sequential(*_normalized(channels, filters, 1, stride)[:2])
        stack.append(Shortcut(nn.Sequential(*way), other, nn.ReLU()))
        channels = filters
    return [*stack, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)]


def _transformer(width: int = 64) -> list[nn.Module]:
    wide = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))
    first = Shortcut(SelfAttention(width, 4), nn.Identity(), nn.LayerNorm(width, EPSILON))
    second = Shortcut(wide, nn.Identity(), nn.LayerNorm(width, EPSILON))
    return [first, second, MeanOfSteps(), nn.Linear(width, 10)]


def _embedding() -> list[nn.Module]:
    head = [nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1), nn.Sigmoid()]
    return [nn.Embedding(20_000, 64), MeanOfSteps(), *head]


# What layers that have weights are called in Keras.
CLASSES: dict[type[nn.Module], str] = {
    nn.Linear: "Dense",
    nn.Conv2d: "Conv2D",
    nn.BatchNorm2d: "BatchNormalization",
    nn.LayerNorm: "LayerNormalization",
    nn.Embedding: "Embedding",
    nn.MultiheadAttention: "MultiHeadAttention",
}

MODELS: dict[str, Callable[[], list[Any]]] = {
    "mlp_tiny": _mlp_tiny,
    "mlp": _mlp,
    "cnn": _cnn,
    "vggbn": _vggbn,
    "cnn1d": _cnn1d,
    "lstm": _lstm,
    "gru_text": _gru_text,
    "mobilenet": _mobilenet,
    "autoencoder": _autoencoder,
    "residual": _residual,
    "transformer": _transformer,
    "embedding": _embedding,
    "mlp_1": _mlp,
    "mlp_1024": _mlp,
}
