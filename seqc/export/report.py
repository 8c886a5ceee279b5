"""What a verification saw, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class OutputCheck:
    """One output over all inputs tried, or one value inside the model.

    Attributes:
        error: largest distance from the truth. budget: what is allowed by how float32 computes in NumPy. scale: largest
        number of the truth. compared: how many numbers were compared, finite ones all. argmax_agreement: share of rows
        whose largest element is at the same place; None where rows have one element, or are not finite. wrong: what is
        wrong beside distance.
        most: what no order of adding in float32 goes beyond, see `seqc.export.rigorous`; None where nobody knows. into:
        the activation of which that is the operand, at the end of a model; "" where it is the output's own.
    """

    name: str
    error: float = 0.0
    budget: float = 0.0
    scale: float = 0.0
    compared: int = 0
    argmax_agreement: float | None = None
    wrong: str = ""
    most: float | None = None
    into: str = ""

    @property
    def passed(self) -> bool:
        return not self.wrong and self.error <= self.allowed

    @property
    def allowed(self) -> float:
        """The budget, or what rounding errors can come to at most, if that is less."""
        return self.budget if self.most is None or self.into else min(self.budget, self.most)

    @property
    def bound(self) -> str:
        """What kind of bound holds.

        "exact" where nothing may differ, as of whole numbers; "rigorous" where rounding cannot come to more on the
        inputs tried; "statistical" where it follows from what rounding does to them in NumPy, which no proof says of
        other machines.
        """
        if not self.allowed:
            return "exact"
        return "rigorous" if self.allowed < self.budget else "statistical"

    def to_dict(self) -> dict[str, object]:
        return {
            "name": self.name,
            "bound": self.bound,
            "error": self.error,
            "budget": self.budget,
            "scale": self.scale,
            "compared": self.compared,
            "argmax_agreement": self.argmax_agreement,
            "most": self.most,
            "into": self.into,
            "allowed": self.allowed,
        }


@dataclass(frozen=True)
class Fault:
    """A part of a model that computes other numbers: `who` names it, `where` says in what."""

    who: str
    check: OutputCheck
    where: str = "in onnxruntime than in NumPy"

    def __str__(self) -> str:
        check = self.check
        if check.wrong:
            return f"{self.who} {check.wrong} {self.where.split(' than ')[0]}"
        return (
            f"{self.who} computes other numbers {self.where}: the largest error is {check.error:.3g}, at most"
            f" {check.allowed:.3g} is allowed (numbers up to {check.scale:.3g})"
        )


@dataclass(frozen=True)
class Report:
    """What a verification saw.

    Attributes:
        outputs: each output. sizes: the axis sizes tried. seconds: how long it took. values: how many values inside the
        file were compared one by one. fault: the first part that is wrong, None if none is.
    """

    outputs: tuple[OutputCheck, ...]
    sizes: tuple[Mapping[str, int], ...]
    seconds: float
    values: int = 0
    fault: Fault | None = None

    @property
    def passed(self) -> bool:
        return self.fault is None and all(o.passed for o in self.outputs)

    @property
    def compared(self) -> int:
        """How many finite numbers of outputs were compared."""
        return sum(o.compared for o in self.outputs)

    @property
    def worst(self) -> OutputCheck:
        """The output that came closest to its budget, or went furthest beyond it."""
        return max(self.outputs, key=lambda o: (bool(o.wrong), o.error / o.allowed if o.allowed else o.error))

    def to_dict(self) -> dict[str, object]:
        return {
            "outputs": [o.to_dict() for o in self.outputs],
            "compared": self.compared,
            "values": self.values,
            "sizes": [dict(s) for s in self.sizes],
            "seconds": self.seconds,
        }
