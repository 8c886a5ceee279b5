"""Models on the disk: what is found, loaded, replaced, kept and dropped."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("orjson", reason="the server speaks JSON with orjson")

from onnx import TensorProto, helper, numpy_helper

from seqc_runtime.errors import RuntimeModelError
from seqc_runtime.server import layout
from seqc_runtime.server.admin import poll
from seqc_runtime.server.config import ModelConfig, read_config
from seqc_runtime.server.layout import Layout
from seqc_runtime.server.loading import Loader
from seqc_runtime.server.messages import Refusal
from seqc_runtime.server.repository import Repository
from seqc_runtime.server.scheduling import Scheduler
from seqc_runtime.server.stats import Stats
from seqc_runtime.server.triton import model_config

ONE = {"x": np.zeros((1, 2), np.float32)}


def adder(number: float) -> bytes:
    """x + number, float32[batch, 2]."""
    weight = numpy_helper.from_array(np.array([number], np.float32), "number")
    shape: list[str | int | None] = ["batch", 2]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "number"], ["y"])],
        "adder",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [weight],
    )
    result: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8
    ).SerializeToString()
    return result


def put(root: Path, name: str, version: int, content: bytes) -> Path:
    """Write a version whole: first beside, then in one step."""
    path = root / name / str(version) / "model.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = root / f".{name}-{version}"
    beside.write_bytes(content)
    os.replace(beside, path)
    return path


def repository(*paths: Path, explicit: bool = False, name: str | None = None) -> Repository:
    return Repository(Layout(paths, name), Loader(Stats(), "cpu", 1), explicit)


def started(*paths: Path, **options: object) -> Repository:
    made = repository(*paths, **options)  # type: ignore[arg-type]
    made.start()
    return made


def answer(served: Repository, name: str, version: str | None = None) -> float:
    return float(served.get(name, version).run(ONE, ["y"])[0][0, 0])


def refusal(call: Callable[[], object]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value


def test_one_file_is_version_1_of_a_model_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "adder.onnx"
    path.write_bytes(adder(3))
    served = started(path)
    assert (served.names(), served.versions("adder"), answer(served, "adder", "1")) == (["adder"], [1], 3)
    assert started(path, name="other").names() == ["other"]


def test_a_name_is_for_a_file_a_models_folder_and_the_only_model_in_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, "a", 1, adder(1))
    assert started(tmp_path / "a", name="other").names() == ["other"]
    served = started(tmp_path, name="other")
    assert (served.names(), answer(served, "other")) == (["other"], 1)
    with pytest.raises(RuntimeModelError, match=r"'\.\./x' is no name for a model"):
        started(tmp_path, name="../x")
    assert not caplog.records
    # What comes later has a name of its own, and takes away none.
    put(tmp_path, "b", 1, adder(2))
    for _ in range(2):
        served.poll()
    assert (served.names(), answer(served, "other")) == (["b", "other"], 1)
    assert started(tmp_path, name="other").names() == ["a", "b"]
    assert "nothing is called other: there are several models" in caplog.text


def test_a_folder_of_models_and_a_models_own_folder(tmp_path: Path) -> None:
    put(tmp_path, "a", 1, adder(1))
    put(tmp_path, "a", 10, adder(10))
    put(tmp_path, "a", 9, adder(9))
    put(tmp_path, "b", 3, adder(3))
    (tmp_path / "c.onnx").write_bytes(adder(7))
    (tmp_path / ".hidden.onnx").write_bytes(b"no")
    (tmp_path / "README").write_text("no model")
    served = started(tmp_path)
    assert served.names() == ["a", "b", "c"]
    assert [answer(served, name) for name in "abc"] == [10, 3, 7]
    assert served.versions("a") == [10]
    assert answer(started(tmp_path / "b"), "b") == 3
    assert started(tmp_path / "b", tmp_path / "c.onnx").names() == ["b", "c"]


@pytest.mark.parametrize(
    ("config", "text", "expected", "said"),
    [
        ("seqc.json", '{"versions": "all", "max_batch": 8}', [1, 2, 3], {"all": {}}),
        ("seqc.json", '{"versions": {"latest": 2}}', [2, 3], {"latest": {"num_versions": 2}}),
        ("seqc.json", '{"versions": [1, 7]}', [1], {"specific": {"versions": [1, 7]}}),
        ("config.pbtxt", "version_policy: { all { } }", [1, 2, 3], {"all": {}}),
        (
            "config.pbtxt",
            "version_policy { latest { num_versions: 2 } } # two",
            [2, 3],
            {"latest": {"num_versions": 2}},
        ),
        (
            "config.pbtxt",
            'name: "a"\nversion_policy: { specific: { versions: [1, 2] } }',
            [1, 2],
            {"specific": {"versions": [1, 2]}},
        ),
    ],
)
def test_the_configuration_says_which_versions(
    tmp_path: Path, config: str, text: str, expected: list[int], said: object
) -> None:
    for version in (1, 2, 3):
        put(tmp_path, "a", version, adder(version))
    (tmp_path / "a" / config).write_text(text)
    served = started(tmp_path)
    assert served.versions("a") == expected
    assert [answer(served, "a", str(version)) for version in expected] == expected
    assert model_config(served.get("a"), 8)["version_policy"] == said


def test_what_triton_writes_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.pbtxt").write_text(
        'name: "digits"\nbackend: "onnxruntime"\nmax_batch_size: 16\n'
        'input [ { name: "x" data_type: TYPE_FP32 dims: [ 28, 28, 1 ] } ]\n'
        'output [ { name: "y"; data_type: TYPE_FP32, dims: [ 10 ] } ]\n'
        "dynamic_batching { preferred_batch_size: [4, 8] max_queue_delay_microseconds: 500 }\n"
        'instance_group [ { count: 1 kind: KIND_CPU } ]\nparameters { key: "a" value: { string_value: "b" } }\n'
    )
    assert read_config(tmp_path) == ModelConfig(max_batch=16, max_delay=0.0005)


@pytest.mark.parametrize(
    ("config", "text", "says"),
    [
        ("seqc.json", "{", "Expecting"),
        ("seqc.json", '{"batch": 3}', "there is no setting 'batch'"),
        ("seqc.json", '{"max_batch": 0}', "max_batch needs a positive whole number; got 0"),
        ("seqc.json", '{"file": "../x.onnx"}', "plain name"),
        ("config.pbtxt", 'backend: "python"', "'python'"),
        ("config.pbtxt", "max_batch_size: -1", "0 or more"),
        ("config.pbtxt", "input [ {", "ends early"),
        ("config.pbtxt", "{" * 10_000, ""),
        ("config.pbtxt", "a {" * 10_000, "nested too deep"),
    ],
)
def test_a_wrong_configuration_is_named(tmp_path: Path, config: str, text: str, says: str) -> None:
    put(tmp_path, "a", 1, adder(1))
    (tmp_path / "a" / config).write_text(text)
    with pytest.raises(RuntimeModelError) as caught:
        started(tmp_path)
    assert config in str(caught.value)
    assert says in str(caught.value)


def test_a_start_without_a_model_or_with_a_broken_one_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeModelError, match="there is no model at"):
        started(tmp_path)
    put(tmp_path, "a", 1, adder(1))
    put(tmp_path, "bad", 1, b"not a model")
    with pytest.raises(RuntimeModelError, match="bad, version 1: .* is not an ONNX model"):
        started(tmp_path)
    (tmp_path / "bad name").mkdir()
    put(tmp_path, "bad name", 1, adder(1))
    with pytest.raises(RuntimeModelError, match="'bad name' is no name for a model"):
        started(tmp_path)


def test_polling_takes_new_versions_and_changed_files_once_they_are_still(tmp_path: Path) -> None:
    put(tmp_path, "a", 1, adder(1))
    served = started(tmp_path)
    put(tmp_path, "a", 2, adder(2))
    put(tmp_path, "new", 1, adder(5))
    served.poll()
    assert (answer(served, "a"), served.names()) == (1, ["a"])
    served.poll()
    assert (answer(served, "a"), served.versions("a"), answer(served, "new")) == (2, [2], 5)
    put(tmp_path, "a", 2, adder(2.5))
    served.poll()
    served.poll()
    assert answer(served, "a") == 2.5


def test_a_version_that_cannot_be_loaded_leaves_the_one_before_and_says_why(tmp_path: Path) -> None:
    put(tmp_path, "a", 1, adder(1))
    served = started(tmp_path)
    put(tmp_path, "a", 2, adder(2)[:40])
    for _ in range(3):
        served.poll()
    assert (answer(served, "a"), served.versions("a")) == (1, [1])
    rows = {row["version"]: row for row in served.index()}
    assert rows["1"]["state"] == "READY"
    assert rows["2"]["state"] == "UNAVAILABLE"
    assert "damaged" in rows["2"]["reason"]
    assert refusal(lambda: served.get("a", "2")).status == 503
    # Mended, it takes its place.
    put(tmp_path, "a", 2, adder(2))
    for _ in range(2):
        served.poll()
    assert (answer(served, "a"), served.versions("a")) == (2, [2])


def test_a_version_that_answers_is_read_again_while_a_newer_one_is_broken(tmp_path: Path) -> None:
    put(tmp_path, "a", 1, adder(1))
    served = started(tmp_path)
    put(tmp_path, "a", 2, b"broken")
    for _ in range(2):
        served.poll()
    put(tmp_path, "a", 1, adder(1.5))
    for _ in range(2):
        served.poll()
    assert (answer(served, "a"), served.versions("a")) == (1.5, [1])
    put(tmp_path, "a", 1, b"broken, too")
    for _ in range(2):
        served.poll()
    assert answer(served, "a") == 1.5
    assert [bool(row["reason"]) for row in served.index()] == [True, True]


@pytest.mark.parametrize("own", [False, True])
def test_models_stay_while_the_folder_that_they_are_in_is_gone(tmp_path: Path, own: bool) -> None:
    folder = tmp_path / "models"
    put(folder, "a", 1, adder(1))
    served = started(folder / "a" if own else folder)
    os.rename(folder, tmp_path / "away")
    for _ in range(2):
        with pytest.raises(FileNotFoundError, match="the folder of models is gone"):
            served.poll()
    assert answer(served, "a") == 1
    os.rename(tmp_path / "away", folder)
    put(folder, "a", 2, adder(2))
    for _ in range(2):
        served.poll()
    assert answer(served, "a") == 2


def test_a_file_that_is_replaced_by_a_broken_one_is_still_served_as_it_was(tmp_path: Path) -> None:
    put(tmp_path, "a", 1, adder(1))
    served = started(tmp_path)
    put(tmp_path, "a", 1, b"broken")
    for _ in range(2):
        served.poll()
    (row,) = served.index()
    assert (answer(served, "a", "1"), row["state"]) == (1, "READY")
    assert "not an ONNX model" in row["reason"]
    put(tmp_path, "a", 1, adder(1.5))
    for _ in range(2):
        served.poll()
    (row,) = served.index()
    assert (answer(served, "a"), row["reason"]) == (1.5, "")


def test_a_broken_version_is_not_opened_again_at_every_look(tmp_path: Path) -> None:
    put(tmp_path, "a", 1, adder(1))
    opened = []
    loader = Loader(Stats(), "cpu", 1)

    def opener(name: str, version: int, path: Path, config: ModelConfig) -> object:
        opened.append(version)
        return loader(name, version, path, config)

    served = Repository(Layout([tmp_path]), opener)  # type: ignore[arg-type]
    served.start()
    put(tmp_path, "a", 2, b"broken")
    for _ in range(5):
        served.poll()
    assert opened == [1, 2]


@pytest.mark.parametrize("explicit", [False, True])
def test_a_changed_configuration_is_taken_over(tmp_path: Path, explicit: bool) -> None:
    put(tmp_path, "a", 1, adder(1))
    (tmp_path / "a" / "1" / "other.onnx").write_bytes(adder(2))
    served = started(tmp_path, explicit=explicit)
    if explicit:
        served.load("a")
    said = (("model.onnx", 8, 1), ("other.onnx", 2, 2), ("other.onnx", 4, 2))
    for file, most, number in said:
        (tmp_path / "a" / "seqc.json").write_text(f'{{"file": "{file}", "max_batch": {most}}}')
        if explicit:
            served.load("a")
        else:
            served.poll()
            served.poll()
        held = served.get("a")
        assert (answer(served, "a"), held.batching.max_rows) == (number, most)
    (tmp_path / "a" / "seqc.json").write_text('{"file": "other.onnx", "max_batch": 4, "versions": "all"}')
    served.poll()
    served.poll()
    assert served.get("a") is held


def test_nothing_is_said_of_broken_versions_that_are_gone_or_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "a", 1, adder(1))
    served = started(tmp_path)
    put(tmp_path, "a", 2, b"broken")
    put(tmp_path, "new", 1, b"broken")
    for _ in range(2):
        served.poll()
    assert refusal(lambda: served.get("new")).status == 503
    assert len(served.index()) == 3
    shutil.rmtree(tmp_path / "a" / "2")
    shutil.rmtree(tmp_path / "new")
    served.poll()
    assert [(row["name"], row["version"]) for row in served.index()] == [("a", "1")]
    assert refusal(lambda: served.get("new")).status == refusal(lambda: served.get("a", "2")).status == 404
    put(tmp_path, "a", 3, b"broken")
    for _ in range(2):
        served.poll()
    put(tmp_path, "a", 4, adder(4))
    for _ in range(2):
        served.poll()
    assert [(row["version"], row["state"]) for row in served.index()] == [("4", "READY")]


def test_what_is_removed_is_served_no_more(tmp_path: Path) -> None:
    path = put(tmp_path, "a", 1, adder(1))
    put(tmp_path, "b", 1, adder(2))
    served = started(tmp_path)
    held = served.get("a")
    path.unlink()
    path.parent.rmdir()
    path.parent.parent.rmdir()
    served.poll()
    assert served.names() == ["b"]
    assert held.retired
    assert float(held.run(ONE, ["y"])[0][0, 0]) == 1  # a request under way
    assert refusal(lambda: served.get("a")).status == 404
    assert served.ready()


def test_explicit_loads_and_unloads(tmp_path: Path) -> None:
    put(tmp_path, "a", 1, adder(1))
    put(tmp_path, "bad", 1, b"no")
    served = started(tmp_path, explicit=True)
    assert (served.names(), served.ready()) == ([], True)
    assert {row["name"]: row["state"] for row in served.index()} == {"a": "UNAVAILABLE", "bad": "UNAVAILABLE"}
    served.load("a")
    assert answer(served, "a") == 1
    put(tmp_path, "a", 2, adder(2))
    served.poll()
    served.poll()
    assert answer(served, "a") == 2
    served.unload("a")
    assert refusal(lambda: served.get("a")).status == 404
    assert {"name": "a", "version": "", "state": "UNAVAILABLE", "reason": "unloaded"} in served.index()
    served.load("a")
    assert answer(served, "a") == 2
    refused = refusal(lambda: served.load("bad"))
    assert refused.status == 400
    assert "not an ONNX model" in refused.message
    for name in ("none", "../a", "/etc", ""):
        assert refusal(lambda name=name: served.load(name)).status == 404  # type: ignore[misc]
    assert refusal(lambda: served.unload("none")).status == 404


def test_links_that_lead_out_of_the_repository_are_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    put(outside, "secret", 1, adder(1))
    inside = tmp_path / "inside"
    put(inside, "a", 1, adder(1))
    (inside / "leak").symlink_to(outside / "secret")
    (inside / "a" / "2").symlink_to(outside / "secret" / "1")
    served = repository(inside)
    with pytest.raises(RuntimeModelError, match="a link that leads out of the repository"):
        served.start()
    assert served.versions("a") == [1]


@pytest.mark.parametrize("version", ["0", "01", "-1", "1.0", "x", "", "9" * 19, "1/../1", "１"])
def test_versions_are_numbers_that_are_there(tmp_path: Path, version: str) -> None:
    (tmp_path / "a.onnx").write_bytes(adder(1))
    assert refusal(lambda: started(tmp_path).get("a", version)).status == 404


@pytest.mark.slow
def test_readers_never_see_a_version_between_two(tmp_path: Path) -> None:
    put(tmp_path, "a", 1, adder(1))
    served = started(tmp_path)
    stop, seen, failures = threading.Event(), set(), []

    def read() -> None:
        while not stop.is_set():
            try:
                seen.add(answer(served, "a"))
            except Exception as error:
                failures.append(error)
                return

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(2, 8):
        put(tmp_path, "a", number, adder(number))
        served.poll()
        served.poll()
    stop.set()
    for reader in readers:
        reader.join()
    assert not failures
    assert seen <= set(range(1, 8))
    assert answer(served, "a") == 7


def test_a_version_that_is_taken_away_while_it_is_looked_at_is_as_if_it_had_not_been_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in (1, 2):
        put(tmp_path, "m", version, b"")
    plain = layout._stamp

    def vanishing(folder: Path) -> layout.Stamp:
        if folder.name == "1":
            shutil.rmtree(folder)
        return plain(folder)

    monkeypatch.setattr(layout, "_stamp", vanishing)
    found = Layout([tmp_path]).find()["m"]
    assert (found.problem, set(found.versions)) == (None, {2})


def test_looks_go_on_after_one_that_failed(caplog: pytest.LogCaptureFixture) -> None:
    looks: list[int] = []

    class Disk:
        def poll(self) -> None:
            looks.append(1)
            if len(looks) < 4:
                raise PermissionError(13, "Permission denied", "/models")

    async def main() -> None:
        scheduler = Scheduler()
        task = asyncio.create_task(poll(Disk(), 0.001, scheduler))
        while len(looks) < 6:
            await asyncio.sleep(0.001)
        task.cancel()
        scheduler.close()

    asyncio.run(asyncio.wait_for(main(), 60))
    assert [record.message for record in caplog.records] == [
        "the models stay as they were, for they cannot be looked for: [Errno 13] Permission denied: '/models'"
    ]
