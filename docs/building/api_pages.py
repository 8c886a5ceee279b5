"""The reference of everything public: a page for each module, on which autodoc puts each thing once."""

from __future__ import annotations

from itertools import groupby

from building.inventory import MODULES, Entry, inventory

# What else is told of a module.
_BESIDE = {
    "seqc.layers": "What each becomes in ONNX is in :doc:`/docs/layers`, where it runs in :doc:`/docs/targets`.",
    "seqc.ops": "The functions of ``keras.ops``: they take arrays, and symbols and values of a model alike.",
    "seqc.export": "``model.export`` is what people call; :doc:`/docs/export` has its options.",
    "seqc.saving": "Which files are read is told in :doc:`/docs/files`.",
    "seqc_runtime": "What a service installs to run exported files; :doc:`/runtime/README` shows it at work.",
}


def pages() -> dict[str, str]:
    """Returns the pages' texts by their names."""
    made = {}
    for module, entries in groupby(inventory(), key=lambda entry: entry.module):
        made[f"api/{module}.rst"] = _page(module, list(entries))
    made["api/index.md"] = _index(list(made))
    return made


def _page(module: str, entries: list[Entry]) -> str:
    lines = [module, "=" * len(module), "", f"{MODULES[module][0]}. {_BESIDE.get(module, '')}".rstrip(), ""]
    lines += [f".. currentmodule:: {module}", ""]

    for entry in entries:
        lines += _entry(entry)
    return "\n".join(lines) + "\n"


def _entry(entry: Entry) -> list[str]:
    if not entry.is_class:
        return [f".. autofunction:: {entry.path}", ""]
    kind = "autoexception" if issubclass(entry.thing, BaseException) else "autoclass"
    lines = [f".. {kind}:: {entry.path}", ""]
    for member in entry.members:
        directive = "automethod" if callable(getattr(entry.thing, member)) else "autoproperty"
        lines += [f"   .. {directive}:: {entry.path}.{member}", ""]
    return lines


def _index(names: list[str]) -> str:
    rows = [f"- {{doc}}`{name.removeprefix('api/').removesuffix('.rst')}`: {_title(name)}" for name in names]
    tree = [name.removeprefix("api/").removesuffix(".rst") for name in names]
    return "\n".join(
        [
            "# API reference",
            "",
            "Everything public, each name once, where people find it; `import seqc as keras` gives the same names to",
            "code that was written for Keras. What is not listed here may change in any version.",
            "",
            *rows,
            "",
            "```{toctree}",
            ":hidden:",
            "",
            *tree,
            "```",
            "",
        ]
    )


def _title(name: str) -> str:
    title = MODULES[name.removeprefix("api/").removesuffix(".rst")][0]
    return title[0].lower() + title[1:] if title[1:2].islower() else title
