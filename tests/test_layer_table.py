"""docs/layers.md says of every layer what the code does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kit import layer_table


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Layer .* does not support masking")
def test_the_table_says_what_the_code_does() -> None:
    written = {row.name: row for row in layer_table.written()}
    assert list(written) == layer_table.names()
    for row in layer_table.rows():
        notes = row.notes or written[row.name].notes
        assert written[row.name] == replace(row, notes=notes), "run `python -m kit.layer_table` in tests/"


def test_what_cannot_be_used_or_exported_has_a_note() -> None:
    silent = [row.name for row in layer_table.written() if "no" in (row.trains, row.exports) and not row.notes]
    assert not silent
