"""The page at "/": one document without any outside resource, put together from the files beside this one."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from seqc_runtime.server.messages import Response

_SCRIPTS = ("tensors.js", "numbers.js", "inputs.js", "pictures.js", "results.js", "live.js", "server.js", "main.js")


def page() -> Response:
    """The document, with a policy that lets a browser run nothing else and talk to this server only."""
    headers, body = _made()
    # What an answer is given on its way is for one request.
    return Response(200, list(headers), (body,))


@cache
def _made() -> tuple[list[tuple[str, str]], bytes]:
    read = {name: Path(__file__).with_name(name).read_text("utf-8") for name in ("index.html", "page.css", *_SCRIPTS)}
    style = read["page.css"]
    # As one function, nothing of it is a global variable of the page.
    script = '"use strict";(() => {\n' + "\n".join(read[name] for name in _SCRIPTS) + "\n})();"
    text = read["index.html"].replace("/*STYLE*/", style).replace("/*SCRIPT*/", script)
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; connect-src 'self'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        # No text becomes markup: even a mistake in the script could not make it so.
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    headers = [
        ("content-type", "text/html; charset=utf-8"),
        ("content-security-policy", policy),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-cache"),
    ]
    return headers, text.encode("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode()}'"
