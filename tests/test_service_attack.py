"""The service under attack: foreign pages, slow and half-sent requests, bodies made to cost, listings made to stall.

Everything runs on the loopback interface of this machine, and every loop ends by itself.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import http.server
import json
import logging
import os
import random
import shutil
import socket
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("fastapi", reason="extra service")
pytest.importorskip("httpx2", reason="extra dev")
import uvicorn
from fastapi.testclient import TestClient

from imgmatch import Catalog, Config
from imgmatch.apps import bodies, commands_serve
from imgmatch.apps.connections import bounded
from imgmatch.apps.console import LogFormatter
from imgmatch.apps.engine import Engine
from imgmatch.apps.guard import ServiceError
from imgmatch.apps.service import create_app
from imgmatch.errors import OutOfTimeError
from imgmatch.parallel import checkpoint, time_limit
from imgmatch.records import Listing, ScanRecord
from tests.fakes import GridEncoder, picture, write_tree

TOKEN = "0123456789abcdef"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def settings(**service: Any) -> Config:
    return Config.from_dict({"signals": ["design"], "service": {"rate": 0, "poll": 3600.0, **service}})


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    root = tmp_path_factory.mktemp("attacked")
    layout = {f"brand{i % 3}/item{i}/{v}.png": picture(10 * i + v) for i in range(6) for v in range(2)}
    return Catalog.build(write_tree(root / "src", layout), root / "cat", encoder=GridEncoder())


def client_of(catalog: Catalog, config: Config | None = None, **more: Any) -> TestClient:
    return TestClient(create_app(catalog, config or settings(), **more), base_url="http://127.0.0.1")


@pytest.fixture(scope="module")
def client(catalog: Catalog) -> Iterator[TestClient]:
    with client_of(catalog) as c:
        yield c


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


SEARCH = {"photo": b64(picture(0))}


# Pages of other sites


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "http://127.0.0.1"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:9999"}, 403),
        ({"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_what_costs_or_changes_is_not_for_other_sites(client: TestClient, headers: dict[str, str], status: int) -> None:
    assert client.post("/search", json=SEARCH, headers=headers).status_code == status
    assert client.get("/metrics", headers=headers).status_code == status
    listing = {"listing": {"listing_id": "1"}}
    assert client.post("/examine", json=listing, headers=headers).status_code == status
    assert client.post("/reload", headers=headers).status_code == 403
    assert client.get("/healthz", headers=headers).status_code == 200


def test_a_page_in_a_browser_cannot_make_it_work(catalog: Catalog, tmp_path: Path) -> None:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine; nothing was shown of a real browser")
    with served(catalog) as (port, _):
        form = f"<form id=f method=post enctype=multipart/form-data action=http://127.0.0.1:{port}/examine>"
        form += '<input name=listing value=\'{"listing_id": "1"}\'></form>'
        for script in (
            "f.submit()",
            f"fetch('http://127.0.0.1:{port}/reload',{{method:'POST',mode:'no-cors'}})",
            f"fetch('http://localhost:{port}/examine',{{method:'POST',mode:'no-cors',body:new FormData(f)}})",
        ):
            page = (
                write_tree(tmp_path, {"page.html": f"<!doctype html>{form}<script>{script}</script>".encode()}) / "page.html"
            )
            command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
            command += [
                "--disable-background-networking",
                "--disable-component-update",
                f"--user-data-dir={tmp_path}/profile",
            ]
            command += ["--virtual-time-budget=3000", "--dump-dom", page.as_uri()]
            subprocess.run(command, capture_output=True, timeout=120, check=True)
        text = ask(port, "GET", "/metrics")[1].decode()
        refused = [
            line for line in text.splitlines() if line.startswith('imgmatch_requests_total{path="other",status="403"}')
        ]
        assert refused, text  # they came
        assert float(refused[0].split()[-1]) >= 2
        assert 'path="/examine"' not in text
        assert 'path="/reload"' not in text


def test_the_scheme_of_a_token_has_no_case(catalog: Catalog) -> None:
    with client_of(catalog, token=TOKEN, hosts=None) as c:
        for scheme, status in [("Bearer", 200), ("bearer", 200), ("BEARER ", 200), ("Basic", 401), ("", 401)]:
            answer = c.post("/search", json=SEARCH, headers={"Authorization": f"{scheme} {TOKEN}"})
            assert answer.status_code == status


# Bodies


@pytest.mark.parametrize(
    "photo",
    [
        b64(picture(0)),
        base64.encodebytes(picture(0)).decode(),
        base64.encodebytes(picture(0)).decode().replace("\n", "\r\n"),
        f"data:image/png;base64,{b64(picture(0))}",
        f"data:image/png;charset=x;base64,{base64.encodebytes(picture(0)).decode()}",
    ],
)
def test_base64_as_people_send_it(client: TestClient, photo: str) -> None:
    expected = client.post("/search", files={"photo": picture(0)}).json()
    assert client.post("/search", json={"photo": photo}).json() == expected
    escaped = json.dumps({"photo": photo}).replace("/", "\\/")
    assert client.post("/search", content=escaped, headers={"content-type": "application/json"}).json() == expected


@pytest.mark.parametrize("size", [3 * n + r for n in (0, 1, 1000, 349_524, 349_525, 349_526, 700_000) for r in range(3)])
def test_base64_of_any_length(size: int) -> None:
    data = random.Random(size).randbytes(size)
    for text in (base64.b64encode(data), json.dumps(base64.encodebytes(data).decode()).encode()[1:-1]):
        assert bodies._decoded(text, "x") == data


@pytest.mark.parametrize(
    "text", ["?", "a", "abc", "=", "ab=c", "http://x.example/a.jpg", "A" * 1_500_000 + "?", "A" * 99 + "é"]
)
def test_what_is_not_base64_is_not_repeated(client: TestClient, text: str) -> None:
    for path, sent, place in (
        ("/search", {"photo": text}, "photo"),
        ("/examine", {"listing": {"listing_id": "1"}, "photos": [PHOTO, text]}, "photos[1]"),
    ):
        answer = client.post(path, json=sent)
        assert answer.status_code == 422
        assert answer.json()["why"].startswith(f"{place}: not base64")
        assert len(answer.json()["why"]) < 200


PHOTO = b64(picture(0))


def test_forms_as_people_send_them(client: TestClient) -> None:
    def part(head: str, body: bytes) -> bytes:
        return b"--X\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + body + b"\r\n"

    listing = part('name="listing"', b'{"listing_id": "1"}')
    names = ("filename*=utf-8''%E5%8C%85.jpg", "FileName* = UTF-8''a%20b.jpg", "filename=\"a.jpg\"; filename*=utf-8''b.jpg")
    for head in names:
        photo = part(f'name="photos"; {head}', picture(0))
        for body in (listing + photo, photo + listing, listing + photo + photo):
            sent = {"content": body + b"--X--\r\n", "headers": {"content-type": "multipart/form-data; boundary=X"}}
            answer = client.post("/examine", **sent)
            assert answer.status_code == 200, answer.text
            assert len(answer.json()["photos"]) == body.count(b'name="photos"')
    for body, why in [
        (listing + listing, "listing: sent more than once"),
        (listing + part('name="title"', b"x") + part('name="price"', b"1"), "'price', 'title' were unexpected"),
        (listing + part('name="photos"', b"x"), "photos"),
        (part("form-data", b"x"), "name"),
    ]:
        answer = client.post(
            "/examine", content=body + b"--X--\r\n", headers={"content-type": "multipart/form-data; boundary=X"}
        )
        assert answer.status_code == 422
        assert why in answer.json()["why"]
    two = {"files": [("photo", picture(0)), ("photo", picture(1))]}
    assert client.post("/search", **two).json()["why"] == "photo: sent more than once"


@pytest.mark.parametrize("charset", ["punycode", "undefined", "utf-7", "idna", "latin-1", "x" * 5000, "\xff"])
def test_no_client_chooses_what_decodes_its_form(client: TestClient, charset: str) -> None:
    body = b'--X\r\nContent-Disposition: form-data; name="listing"\r\n\r\n' + b"kva" * 1_000_000 + b"\r\n--X--\r\n"
    start = time.process_time()
    for kind in ("multipart/form-data; boundary=X", "Multipart/Form-Data; boundary=X"):
        headers = {"content-type": f"{kind}; Charset={charset}".encode("latin-1")}
        answer = client.post("/examine", content=body, headers=headers)
        assert (answer.status_code, answer.json()["what"]) == (415, "a body in another encoding")
    assert time.process_time() - start < 5  # three minutes as Punycode
    same = {"content-type": 'multipart/form-data; boundary=X; charset="UTF-8"'}
    assert client.post("/examine", content=body, headers=same).status_code == 422


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(['"\\' * 9, "é" * 40, "\ud800" * 30, "A" * 50]),
    lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(max_size=4) | st.just("k" * 40), x, max_size=4),
    max_leaves=20,
)


@given(JSON, st.booleans())
def test_strings_that_are_set_aside_come_back(value: Any, plain: bool) -> None:
    body = bytearray(json.dumps(value, ensure_ascii=plain).encode("utf-8", "surrogatepass"))
    long, bodies._LONG = bodies._LONG, 20
    try:
        rest, aside = bodies._without_long_strings(body)
        assert bodies._restored(json.loads(rest), aside) == value
    finally:
        bodies._LONG = long


@pytest.mark.parametrize(
    "body",
    [
        b'{"photo": "' + b"A" * 4_000_000,
        b'{"photo": "' + b'\\"' * 2_000_000,
        b'{"photo": "' + b"\\" * 4_000_001 + b'"}',
        b'"' * 4_000_000,
        b'{"photo": "' + b"\\n" * 2_000_000 + b'"}',
        b'{"a":"b",' * 500_000,
        b"[" * 4_000_000,
        b'{"listing": {"listing_id": "1", "title": "' + b"x" * 5_000_000 + b'"}}',
        b'{"listing": {"listing_id": "1", "x": [' + b"1," * 3_000_000 + b"1]}}",
    ],
    ids=range(9),
)
def test_bodies_made_to_cost_are_refused(client: TestClient, body: bytes) -> None:
    for path in ("/examine", "/search"):
        answer = client.post(path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 422
        assert len(answer.text) < 600


def test_a_body_of_a_million_mistakes_costs_what_its_bytes_cost(client: TestClient) -> None:
    body = b'{"listing": {"listing_id": "1", "contacts": [' + b"1," * 1_000_000 + b"1]}}"
    start = time.process_time()
    answer = client.post("/examine", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, time.process_time() - start < 5) == (422, True)  # it took 25 s
    assert "listing.contacts[" in answer.json()["why"]


def test_what_grows_with_the_body_is_not_done_where_all_requests_wait(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: dict[str, int] = {}

    def noted(name: str, real: Any) -> Any:
        def call(*given: Any, **more: Any) -> Any:
            threads[name] = threading.get_ident()
            return real(*given, **more)

        return call

    for owner, name in ((Listing, "from_dict"), (ScanRecord, "to_dict"), (bodies, "_check")):
        monkeypatch.setattr(owner, name, noted(name, getattr(owner, name)))
    monkeypatch.setattr(Engine, "examine", noted("loop", Engine.examine))
    assert examine(client, "bag").status_code == 200
    assert set(threads) == {"from_dict", "to_dict", "_check", "loop"}
    assert threads["loop"] not in [threads[n] for n in ("from_dict", "to_dict", "_check")]


@pytest.mark.parametrize("title", ["x", "\N{SLIGHTLY SMILING FACE}"])
@pytest.mark.parametrize("photos", [1, 16])
def test_decoding_takes_at_most_three_times_the_body(title: str, photos: int) -> None:
    photo = b64(os.urandom(12_000_000 // photos))
    value = {"listing": {"listing_id": "1", "title": title}, "photos": [photo] * photos}
    body = bytearray(json.dumps(value, ensure_ascii=False).encode())
    del value, photo
    tracemalloc.start()
    try:
        sent = bodies._from_json(body, bodies._examine_schema(False, 16))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(sent.photos["photos"]) == photos
    assert len(body) + peak < 3 * len(body)


# Connections


@contextlib.contextmanager
def served(catalog: Catalog, **service: Any) -> Iterator[tuple[int, Any]]:
    """Serve in a thread of this process; yield the port."""
    config = settings(**service)
    app = create_app(catalog, config)
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, access_log=False, log_level="critical", http=bounded(config.service), backlog=1024)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 60
    while not server.started:
        assert time.monotonic() < end
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1], app
    finally:
        server.should_exit = True
        thread.join(30)


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def raw(port: int, sent: bytes) -> socket.socket:
    s = socket.create_connection(("127.0.0.1", port), timeout=30)
    s.sendall(sent)
    return s


def answer_of(s: socket.socket) -> tuple[int, dict[str, str]]:
    with contextlib.closing(s):
        answer = http.client.HTTPResponse(s)
        answer.begin()
        return answer.status, json.loads(answer.read())


HALF = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "
SLOW = b"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"


@pytest.mark.parametrize("sent", [b"", HALF, SLOW])
def test_hundreds_of_half_sent_requests_do_not_make_it_deaf(catalog: Catalog, sent: bytes) -> None:
    with served(catalog, max_connections=50, idle=30.0) as (port, _):
        held = []
        try:
            for _ in range(300):
                held.append(raw(port, sent))
                if len(held) % 50 == 0:
                    assert ask(port, "GET", "/healthz")[0] == 200
                    assert ask(port, "POST", "/search", json.dumps(SEARCH).encode())[0] == 200
        finally:
            for s in held:
                s.close()


@pytest.mark.parametrize("sent", [b"", HALF, SLOW, HALF + b"y\r\n\r\n" + HALF])
def test_a_slow_client_gets_the_reason_and_is_closed(catalog: Catalog, sent: bytes) -> None:
    with served(catalog, idle=0.5) as (port, _):
        s = raw(port, sent)
        if sent.count(b"\r\n\r\n") and sent != SLOW:  # the first of two requests is answered
            first = http.client.HTTPResponse(s)
            first.begin()
            assert (first.status, first.read()[:1]) == (200, b"{")
        status, body = answer_of(s)
        assert (status, body["what"]) == (408, "the request came too slowly")


def test_no_connection_leaves_the_protocol_that_bounds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a library for WebSockets is installed, uvicorn hands connections over to it: they were never forgotten then."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(uvicorn, "run", lambda _, **more: given.update(more))
    monkeypatch.setattr(commands_serve, "log_to_stderr", lambda: None)
    commands_serve.listen(None, "127.0.0.1", 8000, settings().service)
    assert given["ws"] == "none"


def test_trickled_headers_have_one_time(catalog: Catalog) -> None:
    with served(catalog, idle=0.5) as (port, _):
        s = raw(port, HALF)
        with contextlib.suppress(OSError):
            for _ in range(100):
                s.sendall(b"a")
                time.sleep(0.05)
            pytest.fail("it waited for headers for five seconds")
        s.close()


@pytest.mark.parametrize("sent", [b"\0\0\0\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n bad\r\n\r\n", b"a" * 70_000])
def test_what_is_not_http_is_refused_in_json(catalog: Catalog, sent: bytes) -> None:
    with served(catalog) as (port, _):
        status, body = answer_of(raw(port, sent))
        assert (status, set(body)) == (400, {"what", "why", "do"})
        assert ask(port, "GET", "/healthz")[0] == 200


def test_clients_that_hang_up_leave_nothing_behind(catalog: Catalog, caplog: pytest.LogCaptureFixture) -> None:
    with served(catalog) as (port, _):
        for sent in (b"", HALF, SLOW, HALF + b"\r\n\r\n") * 20:
            raw(port, sent).close()
        end = time.monotonic() + 10
        while ask(port, "GET", "/healthz")[0] == 200 and time.monotonic() < end:
            text = ask(port, "GET", "/metrics")[1].decode()
            if "imgmatch_requests_in_flight 1.0" in text:
                assert not [
                    r for r in caplog.records if r.levelno >= logging.ERROR
                ]  # whoever hangs up does not fill the log
                return
        pytest.fail(text)


# Listings made to stall


class Endless:
    """A signal that never comes to an end with one listing, in steps."""

    name, dense = "endless", False

    def __init__(self) -> None:
        self.started, self.stopped = threading.Event(), threading.Event()

    def propose(self, queries: Any) -> Any:
        return [[] for _ in queries]

    def examine(self, queries: Any) -> Any:
        for query in queries:
            if query.listing.title == "stall":
                self.started.set()
                try:
                    for step in range(100_000):
                        query.photos[0].once(_step, step)
                finally:
                    self.stopped.set()
        return [[] for _ in queries]


def _step(_: Any, __: int) -> None:
    time.sleep(0.01)


def stalled(c: TestClient) -> Endless:
    signal = Endless()
    c.app.state.engine.matcher.signals.append(signal)
    return signal


def examine(c: TestClient, title: str) -> Any:
    return c.post("/examine", json={"listing": {"listing_id": "1", "title": title}, "photos": [PHOTO]})


def test_a_listing_delays_others_by_no_more_than_its_budget(catalog: Catalog) -> None:
    with client_of(catalog, settings(budget=0.5, window=0.3)) as c, ThreadPoolExecutor(6) as pool:
        signal = stalled(c)
        answers = list(pool.map(lambda title: examine(c, title), ["stall", "a", "b", "stall", "c", "d"]))
        assert signal.stopped.is_set()
        assert [a.status_code for a in answers] == [504, 200, 200, 504, 200, 200]
        assert "service.budget" in answers[0].json()["why"]


def test_work_for_a_request_that_timed_out_stops(catalog: Catalog) -> None:
    with client_of(catalog, settings(budget=60.0, timeout=0.5)) as c:
        signal = stalled(c)
        assert examine(c, "stall").status_code == 504
        assert signal.stopped.wait(5)
        assert examine(c, "a").status_code == 200


def test_time_limits() -> None:
    checkpoint()
    with time_limit(60):
        checkpoint()
        with pytest.raises(OutOfTimeError, match="more than -1 s"), time_limit(-1):
            checkpoint()
        checkpoint()  # the outer one holds again
    with pytest.raises(OutOfTimeError, match="nobody is waiting"), time_limit(60, lambda: True):
        checkpoint()
    checkpoint()


# What it documents, and what it keeps to itself


def test_every_status_is_documented(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    told = {path: {int(s) for s in next(iter(ways.values()))["responses"]} for path, ways in document["paths"].items()}
    for path in ("/examine", "/search"):
        assert told[path] == {200, 400, 401, 403, 408, 413, 415, 421, 422, 429, 500, 503, 504}
    assert told["/reload"] >= {200, 401, 403, 409, 421, 500}
    page = (Path(__file__).parents[1] / "docs/service.md").read_text(encoding="utf-8")
    assert not [s for s in set.union(*told.values()) - {200} if str(s) not in page]


def test_contacts_are_neither_logged_nor_counted(catalog: Catalog, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    title = "write to seller@shop.example or +41 79 555 12 34"
    with client_of(catalog) as c:

        def broken(*_: Any) -> Any:
            raise RuntimeError(f"cannot bear {title}")

        assert examine(c, title).status_code == 200
        c.app.state.engine.matcher.signals[0].examine = broken
        examine(c, title)
        c.app.state.engine.matcher.examine_loaded = broken
        assert examine(c, title).status_code == 500
        c.post("/examine", content=title.encode(), headers={"content-type": "application/json"})
        c.post("/examine", json={"listing": {"listing_id": title, title: title, "photos": [title]}})
        logged = "\n".join(map(LogFormatter().format, caplog.records))
        seen = logged + c.get("/metrics").text
    assert "cannot bear" in seen
    assert "seller@shop" not in seen
    assert "555 12 34" not in seen


def test_a_catalog_that_breaks_its_reader_is_no_500(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("foreign")

    with client_of(catalog, token=TOKEN) as c:
        monkeypatch.setattr("imgmatch.apps.engine._newer", broken)
        answer = c.post("/reload", headers={"Authorization": f"Bearer {TOKEN}"})
        assert (answer.status_code, set(answer.json())) == (409, {"what", "why", "do"})
        assert "foreign" not in answer.text
        assert c.get("/healthz").json()["problem"]


def test_too_many_quotes_are_too_many() -> None:
    with pytest.raises(ServiceError, match="quotes"):
        list(bodies._strings(bytearray(b'""' * 600_000)))
