"""The models of the comparison in plain PyTorch, channels first, with the weights of Keras's layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn

Weights = Iterator[np.ndarray]
# Keras's BatchNormalization adds this to a variance.
EPSILON = 1e-3


class Recurrent(nn.Module):
    """A recurrent network of which all steps go on, or only the final state of each direction."""

    def __init__(self, network: nn.Module, sequences: bool = False) -> None:
        super().__init__()
        self.network, self.sequences = network, sequences

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps, final = self.network(x)
        if self.sequences:
            return steps
        state = final[0] if isinstance(final, tuple) else final
        return torch.cat(tuple(state), 1) if len(state) > 1 else state[0]


class Mean(nn.Module):
    """The mean over the axes behind the channels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(tuple(range(2, x.ndim)))


def build(name: str, arrays: list[np.ndarray]) -> nn.Module:
    """Returns a model in inference.

    Args:
        name: of one of `exporters.models.SPECS`, without `masked`, which PyTorch has nothing for that it can export.
        arrays: the weights, in Keras's order and shapes.
    """
    weights = iter(arrays)
    model = nn.Sequential(*MODELS[name](weights)).eval()
    assert next(weights, None) is None
    return model


def channels_first(name: str, x: np.ndarray) -> np.ndarray:
    """Returns samples as the models take them."""
    return np.ascontiguousarray(np.moveaxis(x, -1, 1)) if name in OF_CHANNELS else x


# These take what Keras takes channels last.
OF_CHANNELS = ("lenet", "vgg_bn", "cnn1d", "mobilenet", "sepconv")


def _set(parameter: torch.Tensor, array: np.ndarray) -> None:
    assert parameter.shape == array.shape, (parameter.shape, array.shape)
    parameter.data = torch.from_numpy(np.ascontiguousarray(array))


def _dense(w: Weights, rows: Callable[[np.ndarray], np.ndarray] = lambda k: k) -> nn.Module:
    kernel, bias = rows(next(w)), next(w)
    layer = nn.Linear(*kernel.shape)
    _set(layer.weight, kernel.T)
    _set(layer.bias, bias)
    return layer


def _rows_of_pixels(height: int, width: int) -> Callable[[np.ndarray], np.ndarray]:
    """Puts the rows of a kernel behind Flatten into the order of channels first."""
    return lambda k: k.reshape(height, width, -1, k.shape[-1]).transpose(2, 0, 1, 3).reshape(k.shape)


def _conv(
    w: Weights, size: int, stride: int = 1, same: bool = True, groups: bool = False, bias: bool = True
) -> nn.Module:
    kernel = next(w)
    space = kernel.ndim - 2
    inner, outer = (kernel.shape[-2],) * 2 if groups else kernel.shape[-2:]
    kind: type[nn.Conv1d] | type[nn.Conv2d] = nn.Conv1d if space == 1 else nn.Conv2d
    layer = kind(inner, outer, size, stride, size // 2 if same else 0, groups=inner if groups else 1, bias=bias)
    moved = np.moveaxis(kernel, (-2, -1), (0, 1)) if groups else np.moveaxis(kernel, (-1, -2), (0, 1))
    _set(layer.weight, moved)
    if bias:
        assert layer.bias is not None
        _set(layer.bias, next(w))
    if stride > 1:  # an even image: Keras pads behind it only
        layer.padding = (0, 0)
        return nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), layer)
    return layer


def _norm(w: Weights, space: int = 2) -> nn.Module:
    scale, offset, mean, variance = (next(w) for _ in range(4))
    layer = (nn.BatchNorm1d if space == 1 else nn.BatchNorm2d)(len(scale), eps=EPSILON)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    for parameter, array in (
        (layer.weight, scale),
        (layer.bias, offset),
        (layer.running_mean, mean),
        (layer.running_var, variance),
    ):
        _set(parameter, array)
    return layer


def _upward(w: Weights) -> nn.Module:
    """A transposed convolution in steps of two, which crops behind the image as Keras does."""
    kernel, bias = next(w), next(w)
    outer, inner = kernel.shape[-2:]
    layer = nn.ConvTranspose2d(inner, outer, kernel.shape[0], 2)
    _set(layer.weight, kernel.transpose(3, 2, 0, 1))
    _set(layer.bias, bias)
    return nn.Sequential(layer, nn.ZeroPad2d((0, -1, 0, -1)))


def _embedding(w: Weights) -> nn.Module:
    return nn.Embedding.from_pretrained(torch.from_numpy(next(w)))


def _lstm(w: Weights) -> nn.Module:
    kernel, recurrent, bias = (next(w) for _ in range(3))
    network = nn.LSTM(kernel.shape[0], recurrent.shape[0], batch_first=True)
    _set(network.weight_ih_l0, kernel.T)  # gates i, f, c, o in both
    _set(network.weight_hh_l0, recurrent.T)
    _set(network.bias_ih_l0, bias)
    _set(network.bias_hh_l0, 0 * bias)
    return network


def _gru(w: Weights) -> nn.Module:
    arrays = [next(w) for _ in range(6)]
    network = nn.GRU(arrays[0].shape[0], arrays[1].shape[0], batch_first=True, bidirectional=True)
    for suffix, (kernel, recurrent, bias) in (("", arrays[:3]), ("_reverse", arrays[3:])):
        _set(getattr(network, f"weight_ih_l0{suffix}"), _gates(kernel.T))
        _set(getattr(network, f"weight_hh_l0{suffix}"), _gates(recurrent.T))
        _set(getattr(network, f"bias_ih_l0{suffix}"), _gates(bias[0]))
        _set(getattr(network, f"bias_hh_l0{suffix}"), _gates(bias[1]))
    return network


def _gates(rows: np.ndarray) -> np.ndarray:
    """Takes gates z, r, h to r, z, h."""
    z, r, h = np.split(rows, 3)
    return np.concatenate([r, z, h])


def _mlp(w: Weights) -> list[nn.Module]:
    return [_dense(w), nn.ReLU(), _dense(w), nn.ReLU(), _dense(w), nn.Softmax(-1)]


def _lenet(w: Weights) -> list[nn.Module]:
    first = [_conv(w, 5), nn.Tanh(), nn.AvgPool2d(2), _conv(w, 5, same=False), nn.Tanh(), nn.AvgPool2d(2)]
    flat = [nn.Flatten(), _dense(w, _rows_of_pixels(5, 5)), nn.Tanh(), _dense(w), nn.Tanh()]
    return [*first, *flat, _dense(w), nn.Softmax(-1)]


def _vgg_bn(w: Weights) -> list[nn.Module]:
    stack: list[nn.Module] = []
    for _ in range(3):
        stack += [_conv(w, 3), _norm(w), nn.ReLU(), _conv(w, 3), _norm(w), nn.ReLU(), nn.MaxPool2d(2)]
    return [*stack, nn.Flatten(), _dense(w, _rows_of_pixels(4, 4)), nn.ReLU(), _dense(w), nn.Softmax(-1)]


def _cnn1d(w: Weights) -> list[nn.Module]:
    first = [_conv(w, 5), nn.ReLU(), _norm(w, 1), nn.MaxPool1d(2)]
    return [*first, _conv(w, 3), nn.ReLU(), _norm(w, 1), Mean(), _dense(w), nn.Softmax(-1)]


def _mobilenet(w: Weights) -> list[nn.Module]:
    stack = [_conv(w, 3, bias=False), _norm(w), nn.ReLU6()]
    for stride in (1, 2, 1, 2, 1):
        stack += [_conv(w, 3, stride, groups=True, bias=False), _norm(w), nn.ReLU6()]
        stack += [_conv(w, 1, bias=False), _norm(w), nn.ReLU6()]
    return [*stack, Mean(), _dense(w), nn.Softmax(-1)]


def _separable(w: Weights) -> list[nn.Module]:
    return [_conv(w, 3, groups=True, bias=False), _conv(w, 1), _norm(w), nn.ReLU()]


def _sepconv(w: Weights) -> list[nn.Module]:
    return [*_separable(w), nn.MaxPool2d(2), *_separable(w), Mean(), _dense(w)]


def _lstm_text(w: Weights) -> list[nn.Module]:
    return [_embedding(w), Recurrent(_lstm(w)), _dense(w), nn.Sigmoid()]


def _bigru(w: Weights) -> list[nn.Module]:
    return [Recurrent(_gru(w), True), Recurrent(_gru(w)), _dense(w), nn.Softmax(-1)]


def _decoder(w: Weights) -> list[nn.Module]:
    kernel, bias = next(w), next(w)
    order = np.arange(len(bias)).reshape(7, 7, 64).transpose(2, 0, 1).reshape(-1)
    first = _dense(iter([kernel[:, order], bias[order]]))
    up = [_upward(w), nn.ReLU(), _upward(w), nn.ReLU(), _conv(w, 3), nn.Sigmoid()]
    return [first, nn.ReLU(), nn.Unflatten(1, (64, 7, 7)), *up]


MODELS: dict[str, Callable[[Weights], list[nn.Module]]] = {
    "mlp": _mlp,
    "lenet": _lenet,
    "vgg_bn": _vgg_bn,
    "cnn1d": _cnn1d,
    "mobilenet": _mobilenet,
    "sepconv": _sepconv,
    "lstm_text": _lstm_text,
    "bigru": _bigru,
    "decoder": _decoder,
}
