"""Who may ask for what."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from runtime_kit.server_process import gemm_request, serving, split, until, write_gemm

from seqc_runtime.errors import RuntimeArgumentError
from seqc_runtime.server.auth import Admission, Tokens, guard, make_admission, parse_tokens, warn_of_readers
from seqc_runtime.server.messages import Head, Refusal, Response
from seqc_runtime.server.routes import Route
from seqc_runtime.server.settings import Settings

ADMIN, READER, RATED = "a" * 32, "r" * 32, "t" * 32
PATH = "/v2/models/gemm/infer"
INFER = Route("/x", {}, "infer")
BODY = gemm_request(np.ones((1, 4), np.float32))


def bearer(token: str) -> str:
    return f"authorization: Bearer {token}"


def write_tokens(path: Path, *lines: str) -> Path:
    path.write_text("# tokens\n\n" + "".join(f"{line}\n" for line in lines))
    path.chmod(0o600)
    return path


@pytest.mark.slow
def test_tokens_open_what_their_scopes_say(tmp_path: Path) -> None:
    tokens = write_tokens(
        tmp_path / "tokens",
        f"{ADMIN} infer,metadata,admin",
        f"{READER} metadata name=reader",
        f"{RATED} infer rate=1/s burst=2",
    )
    with serving(write_gemm(tmp_path), "--token-file", tokens, "--host", "0.0.0.0") as server:
        assert server.get("/v2/health/ready")[0] == 200
        assert server.get("/v2")[0] == 401
        assert server.get("/v2", bearer("x" * 32))[0] == 401
        assert server.get("/v2", f"authorization: Basic {READER}")[0] == 401
        assert server.get("/v2", bearer(READER))[0] == 200
        assert server.post(PATH, BODY, bearer(READER))[0] == 403
        assert server.post(PATH, BODY, bearer(ADMIN))[0] == 200
        answer = server.send(b"GET /v2 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        assert b"www-authenticate: Bearer" in answer
        statuses = [server.post(PATH, BODY, bearer(RATED))[0] for _ in range(4)]
        assert statuses[:2] == [200, 200]
        assert 429 in statuses
        # A token that is taken back stops working, a new one begins to, without a restart.
        write_tokens(tmp_path / "new", f"{'n' * 32} metadata").replace(tokens)
        until(lambda: server.get("/v2", bearer("n" * 32))[0] == 200, "the new token")
        assert server.get("/v2", bearer(READER))[0] == 401
        # A file that cannot be understood changes nothing.
        write_tokens(tmp_path / "bad", "short").replace(tokens)
        time.sleep(1.2)
        assert server.get("/v2", bearer("n" * 32))[0] == 200
        until(lambda: any("stay as they were" in line for line in server.complaints), "the complaint")
        assert not any("n" * 32 in line for line in server.complaints)


@pytest.mark.slow
def test_a_big_body_without_a_token_is_not_read(tmp_path: Path) -> None:
    with serving(write_gemm(tmp_path), SEQC_RUNTIME_TOKENS=f"{ADMIN};{READER} metadata") as server:
        start = f"POST {PATH} HTTP/1.1\r\nhost: a\r\ncontent-length: 60000000\r\nexpect: 100-continue\r\n\r\n"
        answer = server.send(start.encode())
        assert split(answer)[0] == 401
        assert b"100 Continue" not in answer


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("short", "16 to 512"),
        (f"{ADMIN} everything", "no scope 'everything'"),
        (f"{ADMIN} rate=fast", "rate needs a positive number"),
        (f"{ADMIN} rate=-1/s", "rate needs a positive number"),
        (f"{ADMIN} colour=red", "'colour' is none of"),
        (f"{ADMIN}\n{ADMIN}", "line 2: the same token"),
        ("geheim" * 4 + "ü", "16 to 512"),
    ],
)
def test_a_line_that_is_wrong_is_named_without_its_token(line: str, wanted: str) -> None:
    with pytest.raises(RuntimeArgumentError, match=wanted) as error:
        parse_tokens(line, "FILE")
    assert "FILE, line" in str(error.value)
    assert line.split()[0] not in str(error.value)


def test_a_rate_is_met_over_time_and_survives_rereading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    path = write_tokens(tmp_path / "tokens", f"{RATED} infer rate=10/s burst=5")
    admission = Admission(Tokens(str(path)))
    head = Head("POST", PATH, headers={"authorization": f"Bearer {RATED}"})

    refusals = []

    def passed() -> bool:
        try:
            return admission(head, INFER) is None
        except Refusal as refusal:
            refusals.append((refusal.status, refusal.headers["retry-after"]))
            return False

    assert sum(passed() for _ in range(20)) == 5
    total = 0
    for step in range(100):
        now += 0.05
        if step % 10 == 0:
            path.write_text(path.read_text() + "# more\n")
        total += sum(passed() for _ in range(3))
    assert 49 <= total <= 50
    assert set(refusals) == {(429, "1")}


def test_a_token_file_that_is_gone_is_told_once_and_one_that_is_empty_lets_nobody_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    path = write_tokens(tmp_path / "tokens", ADMIN)
    tokens = Tokens(str(path))
    word = ADMIN.split()[0]

    def found() -> list[bool]:
        nonlocal now
        seen = []
        for _ in range(5):
            now += 2
            seen.append(tokens.find(word) is not None)
        return seen

    content = path.read_text()
    path.unlink()
    assert found() == [True] * 5
    path.write_text("# nobody\n")
    assert found() == [False] * 5
    path.write_text(content)
    assert found() == [True] * 5
    gone, nobody = (record.message for record in caplog.records)
    assert gone.startswith("the tokens stay as they were: ")
    assert nobody == f"{path} holds no token any more: nobody is let in"


@pytest.mark.skipif(os.name == "nt", reason="permissions of Unix")
def test_a_file_others_can_read_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tokens(tmp_path / "tokens", ADMIN)
    warn_of_readers(str(path))
    assert not caplog.text
    path.chmod(0o644)
    warn_of_readers(str(path))
    assert "chmod 600" in caplog.text
    assert "chown" not in caplog.text
    # As in a container, where the file is the host's: alone, it would keep out the server, too.
    monkeypatch.setattr("os.geteuid", lambda: 10001)
    warn_of_readers(str(path))
    assert "chown 10001 and chmod 600" in caplog.text


@pytest.mark.slow
def test_a_page_from_elsewhere_cannot_call_a_server_on_this_machine(tmp_path: Path) -> None:
    with serving(write_gemm(tmp_path), "--cors-origin", "https://good.example") as server:

        def ask(*lines: str) -> int:
            head = "".join(f"{line}\r\n" for line in lines)
            return split(server.send(f"GET /v2 HTTP/1.1\r\nconnection: close\r\n{head}\r\n".encode()))[0]

        assert ask(f"host: localhost:{server.port}") == 200
        assert ask(f"host: 127.0.0.1:{server.port}") == 200
        assert ask(f"host: [::1]:{server.port}") == 200
        assert ask(f"host: localhost:{server.port}", f"origin: http://localhost:{server.port}") == 200
        # A name that an attacker made to mean 127.0.0.1.
        assert ask(f"host: evil.example:{server.port}", f"origin: http://evil.example:{server.port}") == 403
        assert ask(f"host: localhost:{server.port}", "origin: http://evil.example") == 403
        assert ask(f"host: localhost:{server.port}", "origin: null") == 403
        answer = server.send(
            b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\norigin: https://good.example\r\n\r\n"
        )
        assert split(answer)[0] == 200
        assert b"access-control-allow-origin: https://good.example\r\n" in answer
        exposed = next(line for line in answer.split(b"\r\n") if line.startswith(b"access-control-expose-headers: "))
        for name in (b"inference-header-content-length", b"retry-after", b"traceresponse"):
            assert name in exposed
        answer = server.send(
            b"OPTIONS /v2/models/gemm/infer HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
            b"origin: https://good.example\r\naccess-control-request-method: POST\r\n\r\n"
        )
        assert split(answer)[0] == 204
        assert b"access-control-allow-methods: GET, POST, OPTIONS\r\n" in answer
        for name in (b"content-encoding", b"traceparent", b"x-request-id", b"inference-header-content-length"):
            assert name in answer.partition(b"access-control-allow-headers: ")[2].partition(b"\r\n")[0]
        plain = server.send(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        assert b"access-control" not in plain


@pytest.mark.parametrize(
    ("host", "origin", "allowed"),
    [
        ("localhost", None, True),
        ("LOCALHOST:8000", "http://localhost:8000", True),
        ("localhost.:8000", None, True),
        ("127.0.0.1:8000", "HTTP://127.0.0.1:8000", True),
        ("[::1]", None, True),
        ("[::1]:8000", None, True),
        ("", None, True),
        *(
            (host, None, False)
            for host in (
                "[::1].example",
                "[::1]example:80",
                "[::1]:80.example",
                "[::1",
                "::1]",
                "::1:80",
                "[localhost]",
                "[::1]]",
                "[[::1]]",
                "[::2]",
                "localhost..",
                "localhost:80:80",
                "localhost:example",
                "localhost:-1",
                "localhost:123456",
                "localhost@example",
                "example@localhost",
                "localhost, example",
                "localhost/",
                "127.0.0.1.example",
                "127.0.0.1\n",
                ":80",
                ".",
            )
        ),
        ("10.0.0.5:8000", None, False),
        ("localhost.example", None, False),
        ("localhost", "http://[::1", False),
        ("localhost", "http://[", False),
        ("localhost", "null", False),
    ],
)
def test_names_of_a_server_on_this_machine_and_origins_are_told_apart(
    host: str, origin: str | None, allowed: bool
) -> None:
    settings = Settings(("m.onnx",))
    headers = {"host": host, **({"origin": origin} if origin is not None else {})}
    plain, guarded = make_admission(settings), make_admission(settings)
    guard(guarded, settings)
    # What listens for this application elsewhere knows its names.
    assert plain(Head("GET", "/v2", headers={"host": host}), INFER) is None
    if allowed:
        assert guarded(Head("GET", "/v2", headers=headers), INFER) is None
    else:
        with pytest.raises(Refusal) as error:
            guarded(Head("GET", "/v2", headers=headers), INFER)
        assert error.value.status == 403


def test_what_is_for_administrators_is_on_their_port_only() -> None:
    admission = Admission(hidden={"admin": "elsewhere", "metrics": "elsewhere"})
    for scope, hidden in (("admin", True), ("metrics", True), ("infer", False), ("health", False)):
        route = Route("/x", {}, scope)  # type: ignore[arg-type]
        if hidden:
            with pytest.raises(Refusal) as error:
                admission(Head("GET", "/x"), route)
            assert error.value.status == 404
            assert "elsewhere" in error.value.message
        else:
            answer: Response | None = admission(Head("GET", "/x"), route)
            assert answer is None


def test_other_machines_are_served_only_when_somebody_decides_who_may_ask(tmp_path: Path) -> None:
    path = write_gemm(tmp_path)
    with pytest.raises(RuntimeArgumentError, match="--token-file or --tls-client-ca, or --insecure"):
        Settings((str(path),), host="0.0.0.0").check()
    with pytest.raises(RuntimeArgumentError, match="--admin-host"):
        Settings((str(path),), admin_port=0, admin_host="::").check()
    for name in ("localhost", "127.0.0.1", "127.1.2.3", "::1"):
        Settings((str(path),), host=name).check()
    Settings((str(path),), host="0.0.0.0", insecure=True).check()
