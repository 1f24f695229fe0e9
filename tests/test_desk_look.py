"""Look further: where a photo was seen, and two photos side by side, at the desk and as commands."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from imgmatch import Catalog, Matcher
from imgmatch.apps.cli import app
from imgmatch.errors import ImageError
from imgmatch.images import load_image, perceptual_hash
from imgmatch.investigate.lookup import PhotoLookup, compare_photos, context_of
from imgmatch.loading.photo import PhotoContext
from tests.desk_market import catalog as make_catalog
from tests.desk_market import market
from tests.fakes import GridEncoder


def detailed(seed: int, size: int = 320) -> bytes:
    """Return a photo with enough structure for keypoints."""
    rng = np.random.default_rng(seed)
    canvas = PIL.Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize(
        (size, size), PIL.Image.Resampling.BICUBIC
    )
    pixels = np.asarray(canvas).copy()
    for _ in range(120):
        x, y = rng.integers(0, size - 20, 2)
        w, h = rng.integers(5, 20, 2)
        pixels[y : y + h, x : x + w] = rng.integers(0, 256, 3)
    return encoded(PIL.Image.fromarray(pixels))


def encoded(image: PIL.Image.Image, **more: object) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90, **more)
    return out.getvalue()


def edited(data: bytes, box: tuple[int, int, int, int]) -> bytes:
    return encoded(PIL.Image.open(io.BytesIO(data)).crop(box))


@pytest.fixture(scope="module")
def matcher(tmp_path_factory: pytest.TempPathFactory) -> Matcher:
    return Matcher(make_catalog(tmp_path_factory.mktemp("look")))


def test_copies_come_first_then_what_is_similar(matcher: Matcher) -> None:
    photos = {load_image(data).sha256: data for data in map(detailed, range(6))}
    shas = list(photos)
    encoder = GridEncoder()
    lookup = PhotoLookup(
        {sha: perceptual_hash(load_image(data))[0] for sha, data in photos.items()},
        lambda sha: PhotoContext(sha, load_image(photos[sha])),
        lambda wanted: [encoder.encode([load_image(photos[s])])[0] for s in wanted],
    )
    assert (len(lookup), lookup.embedded) == (6, 6)

    same = lookup.find(context_of(matcher, photos[shas[2]]))
    assert [(s.sha256, s.kind, s.value) for s in same[:1]] == [(shas[2], "same", 1.0)]
    assert {s.kind for s in same[1:]} <= {"similar"}
    assert sorted(s.sha256 for s in same) == sorted(shas)

    part = lookup.find(context_of(matcher, edited(photos[shas[3]], (60, 40, 280, 270))))
    assert (part[0].sha256, part[0].kind) == (shas[3], "copy")
    assert "cropped" in part[0].words
    values = [s.value for s in part if s.kind == "similar"]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("known", [{}, {"a" * 64: ""}])
def test_nothing_known_is_nothing_found(matcher: Matcher, known: dict[str, str]) -> None:
    assert PhotoLookup(known, lambda _: None).find(context_of(matcher, detailed(1))) == []


def test_a_photo_that_is_gone_is_still_named_by_its_hash(matcher: Matcher) -> None:
    data = detailed(1)
    phash, _ = perceptual_hash(load_image(data))
    [seen] = PhotoLookup({"a" * 64: phash}, lambda _: None).find(
        context_of(matcher, encoded(PIL.Image.open(io.BytesIO(data))))
    )
    assert (seen.kind, seen.sha256) == ("copy", "a" * 64)
    assert "bits of its hash differ" in seen.words


def test_two_photos_through_every_signal(matcher: Matcher) -> None:
    one, other = detailed(1), detailed(2)
    part = edited(one, (50, 50, 290, 290))
    assert compare_photos(matcher, one, one).words == "They are the same file."
    found = compare_photos(matcher, one, part)
    assert found.copy is not None
    assert "in the first" in found.words
    apart = compare_photos(matcher, one, other)
    assert (apart.copy, apart.words) == (None, "Neither is a copy of the other, or of a part of it.")
    assert apart.cosine < 1
    assert [[p.sha256 for p in record.photos] for record in found.alone] == [
        [load_image(one).sha256],
        [load_image(part).sha256],
    ]
    for record in found.alone:
        assert record.verdict is not None
        assert {"design", "copy"} <= {f.signal for f in record.verdict.findings}
    assert found.leads is not None
    assert found.leads.signal == "listing_mismatch"


def test_the_desk_searches_and_compares(tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="extra service")
    pytest.importorskip("httpx2", reason="extra dev")
    from imgmatch.apps.desk.desk import Desk
    from imgmatch.results import Results
    from tests.desk_browser import Browser, slug

    catalog, scan = market(tmp_path)
    desk = Desk([Results(scan)], catalog=catalog, labels=tmp_path / "labels.csv")
    ann = Browser(desk)
    token, photo = ann.token(), (tmp_path / "photos/6.png").read_bytes()

    def sent(path: str, files: dict[str, bytes], **fields: str) -> object:
        return ann.client.post(path, data={"csrf": token, **fields}, files={k: ("x.png", v) for k, v in files.items()})

    html = sent("/look", {"photo": photo}).text
    assert "the same file" in html
    assert slug(desk, "L000006") in html
    assert slug(desk, "L000018") in html  # another listing with the same photo
    assert "by their hashes alone" in html
    assert "the same file" in sent("/look", {}, photo_sha256=load_image(photo).sha256).text
    compared = sent("/compare", {"first": photo, "second": detailed(3)})
    assert compared.status_code == 200
    assert "not a percentage chance" in compared.text
    for files, fields, status in (
        ({}, {}, 422),
        ({}, {"photo_sha256": "../../etc/passwd"}, 422),
        ({"photo": b"no photo"}, {}, 422),
        ({"photo": photo, "x": photo, "y": photo}, {}, 400),
    ):
        answer = sent("/look", files, **fields)
        assert answer.status_code == status, answer.text
        assert "Traceback" not in answer.text
    assert ann.client.post("/look", files={"photo": photo}).status_code == 403


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog, scan = market(tmp_path)
    monkeypatch.setattr(Catalog, "load", lambda *_, **__: catalog)
    photo = str(tmp_path / "photos/7.png")
    found = CliRunner().invoke(app, ["search", photo, "--scans", str(scan)], env={"COLUMNS": "200"})
    assert found.exit_code == 0, found.output
    assert "bazaar/seller1/L000007" in found.output
    assert "same" in found.output
    compared = CliRunner().invoke(app, ["compare", photo, photo, "--catalog", str(catalog.path)], env={"COLUMNS": "200"})
    assert compared.exit_code == 0, compared.output
    assert "They are the same file." in compared.output
    assert CliRunner().invoke(app, ["search", "nowhere.jpg", "--scans", str(scan)]).exit_code == 1


def test_a_photo_that_cannot_be_read_is_named_as_people_call_it(tmp_path: Path) -> None:
    matcher = Matcher(make_catalog(tmp_path))
    with pytest.raises(ImageError, match=r"^the second photo: "):
        compare_photos(matcher, detailed(1), detailed(1)[:300])
