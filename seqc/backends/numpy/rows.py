"""Changing a few rows of a large table."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc.graph.ir import Array, BatchRule, Op, Type, Value


class AddRows(Op):
    """A table with rows added at the places that ids name: (table, rows, ids).

    What plain gradient descent does to the table of an embedding: only the rows that a batch has looked up change, and
    no gradient of the table's size is made. Where the old table is not needed any more, the executor has the result
    written over it.
    """

    def infer(self, table: Type, rows: Type, ids: Type) -> Type:
        return table

    def eval(self, table: Array, rows: Array, ids: Array) -> Any:
        result = table.copy()
        np.add.at(result, ids.reshape(-1), rows.reshape(-1, *table.shape[1:]))
        return result

    def batch_rule(self, y: Value) -> BatchRule:
        return "whole"
