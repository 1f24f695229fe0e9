"""The service: the scan's records over HTTP, batches, limits, a catalog that changes under it, and its own OpenAPI."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from threadpoolctl import ThreadpoolController

pytest.importorskip("fastapi", reason="extra service")
httpx = pytest.importorskip("httpx2", reason="extra dev")
from fastapi.testclient import TestClient  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from imgmatch import Catalog, Config, Listing, Matcher  # noqa: E402
from imgmatch.apps.cli import app as cli  # noqa: E402
from imgmatch.apps.guard import Buckets  # noqa: E402
from imgmatch.apps.service import create_app  # noqa: E402
from imgmatch.types import FindingStatus  # noqa: E402
from imgmatch.verdicts.negatives import NegativeBank, NegativeRow  # noqa: E402
from tests.fakes import GridEncoder, picture, write_tree  # noqa: E402

REPO = Path(__file__).parents[1]
SCHEMA = json.loads((REPO / "imgmatch/schemas/record.schema.json").read_text())
TOKEN = "0123456789abcdef"
AUTH = {"Authorization": f"Bearer {TOKEN}"}
LOCAL = "http://127.0.0.1"


def settings(**service: Any) -> Config:
    return Config.from_dict({"signals": ["design"], "service": {"rate": 0, "poll": 0.05, **service}})


def source(root: Path, items: range = range(6)) -> Path:
    return write_tree(root, {f"brand{i % 3}/item{i}/{v}.png": picture(10 * i + v) for i in items for v in range(2)})


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog.build(source(tmp_path / "src"), tmp_path / "cat", encoder=GridEncoder())


@pytest.fixture(scope="module")
def unchanging(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    root = tmp_path_factory.mktemp("service")
    return Catalog.build(source(root / "src"), root / "cat", encoder=GridEncoder())


def client_of(catalog: Catalog, config: Config | None = None, **more: Any) -> TestClient:
    return TestClient(create_app(catalog, config or settings(), **more), base_url=LOCAL)


@pytest.fixture(scope="module")
def client(unchanging: Catalog):
    with client_of(unchanging, settings(max_body=300_000)) as c:
        yield c


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


# Answers


def test_examine_gives_the_record_that_a_scan_gives(client: TestClient, unchanging: Catalog, tmp_path: Path) -> None:
    fields = {"listing_id": "7", "title": "Sac «neuf»", "price": 12.5, "shade": "blue"}
    names = {"photos[0]": picture(0), "photos[1]": b"broken", "promo_photos[0]": picture(11)}
    row = {**fields, "photos": ["photos[0]", "photos[1]"], "promo_photos": ["promo_photos[0]"]}
    expected = (
        Matcher(unchanging, settings()).examine(Listing.from_dict(row), photos=write_tree(tmp_path / "l", names)).to_dict()
    )

    as_json = {"listing": fields, "photos": [b64(picture(0)), b64(b"broken")], "promo_photos": [b64(picture(11))]}
    files = [
        ("photos", ("../../etc/passwd", picture(0))),
        ("photos", ("same name", b"broken")),
        ("promo_photos", ("same name", picture(11))),
    ]
    answers = [
        client.post("/examine", json=as_json),
        client.post("/examine", data={"listing": json.dumps(fields)}, files=files),
        client.post("/examine", files=[*files, ("listing", (None, json.dumps(fields), "application/json"))]),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        jsonschema.validate(answer.json(), SCHEMA)
        assert answer.json() == expected
    assert [p["status"] for p in expected["photos"]] == ["ok", "failed", "ok"]
    assert expected["verdict"]["item_id"] == "brand0/item0"


def test_search_gives_the_nearest_items(client: TestClient, unchanging: Catalog) -> None:
    for answer in (
        client.post("/search?k=3", json={"photo": b64(picture(30))}),
        client.post("/search?k=3", files={"photo": picture(30)}),
    ):
        found = answer.json()
        assert found["catalog_version"] == unchanging.version
        assert [x["item_id"] for x in found["items"]] == [x.item_id for x in unchanging.search(picture(30), 3)]
        assert found["items"][0]["name"] == "brand0/item3/0.png"
        assert found["items"][0]["similarity"] == pytest.approx(1, abs=1e-5)


def test_health_metrics_and_documentation(unchanging: Catalog) -> None:
    with client_of(unchanging) as client:
        client.post("/examine", json={"listing": {"listing_id": "1"}, "photos": [b64(picture(0))]})
        health = client.get("/healthz").json()
        assert (health["status"], health["catalog_version"], health["items"], health["problem"]) == (
            "ok",
            unchanging.version,
            6,
            None,
        )
        metrics = client.get("/metrics").text
        assert 'imgmatch_requests_total{path="/examine",status="200"} 1.0' in metrics
        assert f'imgmatch_catalog_info{{version="{unchanging.version}"}} 1.0' in metrics
        assert "imgmatch_batch_listings_count 1.0" in metrics
        paths = client.get("/openapi.json").json()["paths"]
        assert set(paths) == {"/examine", "/search", "/healthz", "/metrics", "/reload"}
        assert client.get("/docs").status_code == 404


def test_requests_that_come_together_share_a_batch(unchanging: Catalog) -> None:
    together = 12
    gate = threading.Barrier(together)

    class Gathering(GridEncoder):
        def prepare(self, image):
            if threading.current_thread().name.startswith("imgmatch-read"):
                gate.wait(10)
            return super().prepare(image)

    sizes: list[int] = []
    slow = Catalog.load(unchanging.path, encoder=Gathering())
    config = Config.from_dict({"signals": ["design"], "scan": {"workers": together}, "service": {"rate": 0, "window": 1.0}})
    with client_of(slow, config) as c, ThreadPoolExecutor(together) as pool:
        c.app.state.engine._on_batch = sizes.append
        bodies = [{"listing": {"listing_id": str(i)}, "photos": [b64(picture(i))]} for i in range(together)]
        answers = list(pool.map(lambda body: c.post("/examine", json=body).json(), bodies))
    assert [a["listing_id"] for a in answers] == [str(i) for i in range(together)]
    assert sum(sizes) == together
    assert max(sizes) > 1
    alone = Matcher(unchanging, config)
    for i, answer in enumerate(answers):
        direct = alone.examine_loaded([alone.load(Listing("x", ("a",)), {"a": picture(i)})])[0].to_dict()
        assert answer["verdict"] == direct["verdict"]


def test_listings_are_examined_side_by_side(unchanging: Catalog) -> None:
    gate = threading.Barrier(2)

    class Meeting:
        name, dense = "meeting", False

        def propose(self, queries: Any) -> Any:
            return [[] for _ in queries]

        def examine(self, queries: Any) -> Any:
            gate.wait(20)
            blas = ThreadpoolController().select(threading_layer="pthreads").info()
            threads.append({x["num_threads"] for x in blas if "numpy" in x["filepath"]})
            return [[] for _ in queries]

    threads: list[set[int]] = []
    config = Config.from_dict({"signals": ["design"], "scan": {"workers": 2}})
    with client_of(unchanging, config) as c, ThreadPoolExecutor(2) as pool:
        c.app.state.engine.matcher.signals.append(Meeting())
        bodies = [{"listing": {"listing_id": str(i)}, "photos": [b64(picture(i))]} for i in range(2)]
        answers = list(pool.map(lambda body: c.post("/examine", json=body).json(), bodies))
    findings = [f for answer in answers for f in answer["verdict"]["findings"]]
    assert not [f for f in findings if f["status"] == "failed"]
    assert all(count <= {1} for count in threads), "products of one must not take the core of the other"


# A catalog that changes


def wait_until(condition, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_a_new_catalog_is_taken_up_without_a_mixed_answer(catalog: Catalog, tmp_path: Path) -> None:
    # The item that a photo shows exists in every second version only: version and answer must agree in each record.
    extra = source(tmp_path / "extra", range(6, 7))
    query = {"listing": {"listing_id": "1"}, "photos": [b64(picture(60))]}
    answers: list[dict[str, Any]] = []
    done = threading.Event()

    with client_of(catalog, settings(poll=0.01)) as c:

        def ask() -> None:
            while not done.is_set():
                answer = c.post("/examine", json=query)
                assert answer.status_code == 200, answer.text
                answers.append(answer.json())

        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(ask) for _ in range(4)]
            try:
                holds = {catalog.version: False}
                current = Catalog.load(catalog.path, encoder=GridEncoder())
                for turn in range(6):
                    current = current.remove(["brand0/item6"]) if turn % 2 else current.add(extra)
                    holds[current.version] = not turn % 2
                    version = current.version
                    wait_until(lambda: any(a["catalog_version"] == version for a in answers))  # noqa: B023
            finally:
                done.set()
            for future in asked:
                future.result()
    assert {a["catalog_version"] for a in answers} == set(holds)
    for answer in answers:
        shown = [x["item_id"] for x in answer["verdict"]["candidates"]]
        assert ("brand0/item6" in shown) == holds[answer["catalog_version"]]


def test_an_answer_that_lost_its_reference_photos_is_given_anew(catalog: Catalog) -> None:
    # Between two looks at the manifest two removals take photos away from the catalog in memory.
    with client_of(catalog, settings(poll=3600)) as c:
        matcher = c.app.state.engine.matcher
        real = matcher.signals[0].examine

        def examine(queries):
            if not all((catalog.path / "photos" / sha[:2] / sha).exists() for sha in catalog.photos):
                raise OSError("no such photo")
            return real(queries)

        matcher.signals[0].examine = examine
        smaller = Catalog.load(catalog.path, encoder=GridEncoder()).remove(["brand0/item0"]).remove(["brand2/item2"])
        record = c.post("/examine", json={"listing": {"listing_id": "1"}, "photos": [b64(picture(10))]}).json()
    assert record["catalog_version"] == smaller.version
    assert all(f["status"] != FindingStatus.FAILED for f in record["verdict"]["findings"])


def test_decisions_calibration_and_rules_are_taken_up_as_a_catalog_is(catalog: Catalog, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    shipped = (REPO / "weights" / "rules.toml").read_text()
    rules.write_text(shipped)
    config = Config.from_dict({**settings().to_dict(), "fusion": {"rules": str(rules)}})
    with client_of(catalog, config) as c:

        def fingerprint() -> str:
            asked = {"listing": {"listing_id": "1"}, "photos": [b64(picture(10))]}
            return str(c.post("/examine", json=asked).json()["config_fingerprint"])

        engine = c.app.state.engine
        first, signals = fingerprint(), engine.matcher.signals
        rules.write_text(shipped.replace("strong = 0.8", "strong = 0.7"))
        wait_until(lambda: fingerprint() != first)
        second = fingerprint()
        assert engine.matcher.signals is not signals
        assert all(a is b for a, b in zip(engine.matcher.signals, signals, strict=True))  # warm as they were
        row = NegativeRow("1", "design", "brand0", "a" * 64, "", "", "ann", "2026-01-01")
        NegativeBank.append(catalog.path, [row])
        wait_until(lambda: fingerprint() != second)
        rules.write_text("[claims")
        wait_until(lambda: "rules.toml" in (c.get("/healthz").json()["problem"] or ""))
        third = fingerprint()
        rules.write_text(shipped.replace("strong = 0.8", "strong = 0.7"))
        wait_until(lambda: c.get("/healthz").json()["problem"] is None)
        assert fingerprint() == third


def test_a_broken_catalog_leaves_the_old_one_answering(catalog: Catalog) -> None:
    manifest = catalog.path / "manifest.json"
    whole = manifest.read_bytes()
    with client_of(catalog, token=TOKEN) as c:
        c.headers.update(AUTH)
        manifest.write_bytes(whole[:-100])
        answer = c.post("/reload")
        assert answer.status_code == 409
        assert "manifest.json" in answer.json()["why"]
        assert "manifest.json" in c.get("/healthz").json()["problem"]
        assert c.post("/search", json={"photo": b64(picture(0))}).json()["catalog_version"] == catalog.version
        manifest.write_bytes(whole)
        wait_until(lambda: c.get("/healthz").json()["problem"] is None)
        assert c.post("/reload").json() == {"changed": False, "catalog_version": catalog.version}


# Refusals: what was sent, the status, and what the answer says

PHOTO = b64(picture(0))


@pytest.mark.parametrize(
    ("path", "sent", "status", "why"),
    [
        ("/examine", {"content": b"{", "headers": {"content-type": "application/json"}}, 422, "not valid JSON"),
        ("/examine", {"content": b'{"listing": {"listing_id": "1", "x": NaN}}'}, 422, "no finite number"),
        ("/examine", {"content": b'{"listing": {"listing_id": "1", "x": 1e999}}'}, 422, "no finite number"),
        ("/examine", {"content": b'{"listing": {"listing_id": "1", "x": ' + b"[" * 10**5}, 422, "recursion"),
        ("/examine", {"content": b'{"listing": {"listing_id": "1", "x": 1' + b"0" * 5000 + b"}}"}, 422, "digits"),
        ("/examine", {"content": b"\xff\xfe\xfd"}, 422, "not valid JSON"),
        ("/examine", {"json": []}, 422, "the body: expected object, got array"),
        (
            "/examine",
            {"json": {"listing": {"listing_id": "1"}, "photos": "A" * 9000}},
            422,
            "photos: expected array, got string",
        ),
        ("/examine", {"json": {}}, 422, "'listing' is a required property"),
        ("/examine", {"json": {"listing": {}}}, 422, "'listing_id' is a required property"),
        ("/examine", {"json": {"listing": {"listing_id": ""}}}, 422, "listing.listing_id"),
        ("/examine", {"json": {"listing": {"listing_id": "1", "title": [5]}}}, 422, "listing.title"),
        ("/examine", {"json": {"listing": {"listing_id": "1"}, "photos": "x"}}, 422, "photos"),
        ("/examine", {"json": {"listing": {"listing_id": "1"}, "photos": ["http://x.example/a.jpg"]}}, 422, "photos[0]"),
        (
            "/examine",
            {"json": {"listing": {"listing_id": "1", "photos": ["/etc/passwd"]}}},
            422,
            "no path is read and no URL fetched",
        ),
        ("/examine", {"json": {"listing": {"listing_id": "1"}, "photo_urls": ["http://x"]}}, 422, "photo_urls"),
        ("/examine", {"json": {"listing": {"listing_id": "1"}, "photos": [PHOTO] * 17}}, 422, "photos: "),
        ("/examine", {"data": {"listing": "{"}, "files": {"photos": b"x"}}, 422, "not valid JSON"),
        ("/examine", {"files": {"photos": b"x"}}, 422, "'listing' is a required property"),
        ("/examine", {"data": {"listing": '{"listing_id": "1"}'}, "files": {"other": b"x"}}, 422, "other"),
        ("/examine", {"data": {"listing": '{"listing_id": "1"}'}, "files": [("photos", b"x")] * 17}, 422, "photos: "),
        ("/examine", {"data": {"listing": '{"listing_id": "1"}'}, "files": [("photos", b"x")] * 33}, 422, "Too many files"),
        ("/examine", {"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 422, "boundary"),
        ("/examine", {"content": b"x", "headers": {"content-type": "text/plain"}}, 415, "text/plain"),
        ("/examine", {"content": b"x" * 400_000}, 413, "300000 bytes"),
        ("/examine", {"content": iter([b"x" * 200_000] * 2)}, 413, "300000 bytes"),
        ("/search", {"json": {"photo": b64(b"no photo")}}, 422, "format_not_allowed"),
        ("/search", {"json": {"photo": ""}}, 422, "empty"),
        ("/search?k=0", {"json": {"photo": PHOTO}}, 422, "query.k"),
        ("/search?k=many", {"json": {"photo": PHOTO}}, 422, "query.k"),
        ("/reload", {}, 403, "no token"),
        ("/nothing", {}, 404, "Not Found"),
        ("/healthz", {}, 405, "Method Not Allowed"),
    ],
)
def test_refusals(client: TestClient, path: str, sent: dict[str, Any], status: int, why: str) -> None:
    if "content" in sent and "headers" not in sent:
        sent = {**sent, "headers": {"content-type": "application/json"}}
    answer = client.post(path, **sent)
    assert (answer.status_code, set(answer.json())) == (status, {"what", "why", "do"}), answer.text
    assert why in answer.json()["why"], answer.text


def test_lone_surrogates_and_deep_nesting_do_not_break_the_answer(client: TestClient) -> None:
    body = b'{"listing": {"listing_id": "\\ud800", "title": "\\udfff", "x\\ud800": ["\\ud800"]}}'
    answer = client.post("/examine", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200
    assert answer.json()["listing_id"] == "?"
    for depth in (100, 300, 900, 950, 980):
        nested = b'{"listing": {"listing_id": "1", "x": ' + b"[" * depth + b"]" * depth + b"}}"
        assert client.post("/examine", content=nested, headers={"content-type": "application/json"}).status_code in (
            200,
            422,
        )


def test_hosts_other_than_this_machine_are_refused(client: TestClient) -> None:
    for host, status in [("localhost:8000", 200), ("[::1]:8000", 200), ("evil.example", 421), ("[", 421), ("", 421)]:
        assert client.get("/healthz", headers={"host": host}).status_code == status


def test_a_token_is_needed_where_there_is_one(unchanging: Catalog) -> None:
    with client_of(unchanging, token=TOKEN, hosts=None) as c:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"Authorization": "Bearer \xe9"}):
            sent = {k: v.encode("latin-1") for k, v in headers.items()}
            for path in ("/examine", "/search", "/reload"):
                answer = c.post(path, headers=sent)
                assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert c.get("/metrics", headers=sent).status_code == 401
        assert c.get("/healthz").status_code == 200
        assert c.post("/search", json={"photo": PHOTO}, headers=AUTH).status_code == 200
        assert c.post("/reload", headers=AUTH).json()["changed"] is False


def test_clients_that_ask_too_often_wait(unchanging: Catalog) -> None:
    with client_of(unchanging, settings(rate=0.5, burst=2)) as c:
        answers = [c.get("/metrics") for _ in range(3)]
        assert [a.status_code for a in answers] == [200, 200, 429]
        assert int(answers[2].headers["retry-after"]) in (1, 2)
        assert c.get("/healthz").status_code == 200


def test_buckets_refill_and_stay_bounded() -> None:
    buckets = Buckets(rate=2, burst=3)
    assert [buckets.take("a", 0.0) for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    assert buckets.take("b", 0.0) == 0
    assert [buckets.take("a", 0.5), buckets.take("a", 0.5)] == [0, 0.5]
    assert [buckets.take("a", 100.0) for _ in range(4)] == [0, 0, 0, 0.5]
    for i in range(30_000):
        buckets.take(str(i), 0.0)
    assert len(buckets._left) == 10_000


class Stuck(GridEncoder):
    """An encoder that does not come back until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()

    def encode(self, batch):
        if len(batch):
            self.free.wait(20)
        return super().encode(batch)


def test_slow_answers_and_too_many_requests_are_refused(unchanging: Catalog) -> None:
    encoder = Stuck()
    slow = Catalog.load(unchanging.path, encoder=encoder)
    body = {"listing": {"listing_id": "1"}, "photos": [PHOTO]}
    with client_of(slow, settings(timeout=1.0, max_requests=2)) as c, ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: c.post("/examine", json=body), range(3)))
        assert sorted(a.status_code for a in answers) == [503, 504, 504]
        assert all(set(a.json()) == {"what", "why", "do"} for a in answers)
        encoder.free.set()
        assert c.post("/examine", json=body).status_code == 200


def test_an_unexpected_error_is_no_traceback(unchanging: Catalog, caplog: pytest.LogCaptureFixture) -> None:
    with client_of(unchanging) as c:

        def broken(*_: Any) -> None:
            raise RuntimeError("secret details")

        c.app.state.engine.matcher.examine_loaded = broken
        answer = c.post("/examine", json={"listing": {"listing_id": "1"}, "photos": [PHOTO]})
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert "secret details" in caplog.text
        assert 'status="500"' in c.get("/metrics").text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "give a token"),
        (["--host", "example.com"], "give a token"),
        (["--token-file", "missing"], "cannot be read"),
        (["--token-file", "short"], "at least 16"),
        (["--port", "0"], "--port"),
    ],
)
def test_serve_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short").write_text("secret\n")
    result = CliRunner().invoke(cli, ["serve", "--catalog", str(tmp_path), *arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert message in result.output


# A real server

SERVER = """
    import sys
    import imgmatch.catalog.catalog as module
    from tests.fakes import GridEncoder
    module.load_encoder = lambda name: GridEncoder()
    from imgmatch.apps.cli import main
    main()
"""


@pytest.fixture
def server(catalog: Catalog, tmp_path: Path):
    """A subprocess `imgmatch serve`, and its address."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    (tmp_path / "c.toml").write_text('signals = ["design"]\n[service]\nrate = 0\npoll = 3600\n')
    (tmp_path / "token").write_text(TOKEN)
    command = ["serve", "--catalog", str(catalog.path), "--port", str(port), "--config", str(tmp_path / "c.toml")]
    command += ["--token-file", str(tmp_path / "token")]
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(SERVER), *command], cwd=REPO, env=os.environ)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None
        try:
            return bool(httpx.get(f"{url}/healthz").status_code == 200)
        except httpx.TransportError:
            return False

    try:
        wait_until(answers, 60)
        yield process, url
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.slow
def test_a_real_server_answers_64_clients_while_its_catalog_is_replaced(server, catalog: Catalog) -> None:
    process, url = server

    async def load() -> list[dict[str, Any]]:
        async with httpx.AsyncClient(base_url=url, headers=AUTH, timeout=60, limits=httpx.Limits(max_connections=64)) as c:

            async def ask(i: int) -> dict[str, Any]:
                body = {"listing": {"listing_id": str(i)}, "photos": [b64(picture(i % 40))]}
                answer = await c.post("/examine", json=body)
                assert answer.status_code == 200, answer.text
                return answer.json()

            async def replace() -> None:
                await asyncio.sleep(0.3)
                await asyncio.to_thread(Catalog.load(catalog.path, encoder=GridEncoder()).remove, ["brand0/item0"])
                process.send_signal(signal.SIGHUP)

            *answers, _ = await asyncio.gather(*map(ask, range(640)), replace())
            return answers

    answers = asyncio.run(load())
    assert [a["listing_id"] for a in answers] == [str(i) for i in range(640)]
    old, new = catalog.version, Catalog.load(catalog.path).version
    assert {a["catalog_version"] for a in answers} == {old, new}
    for answer in answers:
        if answer["catalog_version"] == new:
            assert all(x["item_id"] != "brand0/item0" for x in answer["verdict"]["candidates"])


@pytest.mark.slow
def test_it_stops_on_a_signal(server) -> None:
    process, url = server
    assert httpx.get(f"{url}/metrics", headers=AUTH).status_code == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) in (0, -signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.parametrize(
    "which",
    [
        ["--exclude-path", "/search"],
        # No schema can say that bytes are a photo, so what fits the schema of /search may still be refused.
        ["--include-path", "/search", "--exclude-checks", "positive_data_acceptance"],
    ],
)
def test_it_does_what_its_openapi_says(server, tmp_path: Path, which: list[str]) -> None:
    pytest.importorskip("schemathesis", reason="extra dev")
    _, url = server
    command = [Path(sys.executable).with_name("schemathesis"), "run", f"{url}/openapi.json", "--max-examples", "200"]
    command += ["--continue-on-failure", "-H", f"Authorization: {AUTH['Authorization']}", "--no-color", *which]
    command += ["--suppress-health-check", "all"]  # how fast a busy machine makes up examples is not the question
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=170, check=False)
    assert run.returncode == 0, run.stdout
    assert " passed" in run.stdout
