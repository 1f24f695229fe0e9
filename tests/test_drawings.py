"""SVG marks: drawn as they are, and harmless whatever the file holds."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import numpy as np
import pytest

from imgmatch.catalog import Catalog
from imgmatch.errors import ImageError
from imgmatch.images import load_image
from imgmatch.vision.marks import drawings, ink_map, make_reference
from imgmatch.vision.marks.drawings import MOST_BYTES, draw_svg
from tests.fakes import GridEncoder

pytest.importorskip("resvg_py")

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 40 20"'


def svg(body: str, head: str = HEAD) -> bytes:
    return f"{head}>{body}</svg>".encode()


BAR = '<rect x="10" y="5" width="20" height="10"/>'


def test_a_bar_lies_where_it_is_drawn() -> None:
    png, scale = draw_svg(svg(BAR), source="bar.svg")
    pixels = load_image(png).pixels
    assert (pixels.shape, scale) == ((400, 800, 3), 20.0)
    _, box = ink_map(pixels)
    assert box == (200, 100, 600, 300)


def test_a_white_mark_is_drawn_on_black() -> None:
    png, _ = draw_svg(svg(BAR.replace("/>", ' fill="#fff"/>')), source="bar.svg")
    ink, box = ink_map(load_image(png).pixels)
    assert box == (200, 100, 600, 300)
    assert ink.max() == 1.0


def test_references_inside_the_file_and_an_editors_doctype_are_fine() -> None:
    doctype = '<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/svg11.dtd">'
    body = f'<defs><g id="bar">{BAR}</g><clipPath id="c"><rect width="20" height="20"/></clipPath></defs>'
    png, _ = draw_svg(doctype.encode() + svg(f'{body}<g clip-path="url(#c)"><use xlink:href="#bar"/></g>'), source="bar.svg")
    assert ink_map(load_image(png).pixels)[1] == (200, 100, 400, 300)


def nested_uses(levels: int) -> str:
    groups = [f'<g id="g0">{BAR}</g>']
    for i in range(1, levels):
        uses = 10 * f'<use href="#g{i - 1}"/>'
        groups.append(f'<g id="g{i}">{uses}</g>')
    return f'<defs>{"".join(groups)}</defs><use href="#g{levels - 1}"/>'


BOMB = '<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "well-formed"),
        (b"\xff\xfe<\0s\0v\0g\0", "UTF-8"),
        (b"<html/>", "expected an <svg>"),
        (svg("")[:-3], "well-formed"),
        (svg(""), "nothing is drawn"),
        (svg(BAR, '<svg xmlns="http://www.w3.org/2000/svg"'), "viewBox"),
        (svg(BAR, '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9000 1"'), "side ratio"),
        (svg(BAR, '<svg xmlns="http://www.w3.org/2000/svg" width="1e30" height="1e30"'), "side ratio"),
        (svg(BAR, '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 nan 5"'), "side ratio"),
        (svg('<image href="/etc/hostname" width="9" height="9"/>'), "embeds a picture"),
        (svg('<image xlink:href="data:image/png;base64,AAAA"/>'), "embeds a picture"),
        (svg('<use href="http://elsewhere.example/a.svg#a"/>'), "outside the file"),
        (svg('<use xlink:href="file:///etc/passwd"/>'), "outside the file"),
        (svg('<rect width="9" height="9" fill="url(http://elsewhere.example/p)"/>'), "outside the file"),
        (svg("<style>@import 'http://elsewhere.example/a.css';</style>" + BAR), "outside the file"),
        (svg("<script>alert(1)</script>" + BAR), "script"),
        (svg("<text x='1' y='9'>GUCCI</text>"), "outlines"),
        (svg('<filter id="f"><feGaussianBlur stdDeviation="1e9"/></filter>' + BAR), "filters"),
        (BOMB.encode() + svg("<title>&b;</title>" + BAR), "entities"),
        (svg(nested_uses(12)), "references"),
        (svg('<g id="a"><use href="#a"/></g>'), "refers to itself"),
        (svg("<g>" * 5000 + BAR + "</g>" * 5000), "deeper"),
        (svg(BAR + " " * MOST_BYTES), "bytes"),
    ],
)
def test_what_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(ImageError, match=problem):
        draw_svg(data, source="mark.svg")


ALL = '<rect width="40" height="20" '


@pytest.mark.parametrize(
    "body",
    [
        f'{ALL}filter="blur(9)"/>' * 9000,
        f'{ALL}style="filter:blur(9px)"/>' * 9000,
        f'<g opacity=".5">{ALL}/>{ALL}/></g>' * 6000,
        '<path d="M0 0L40 20" stroke="#000" stroke-dasharray="1e-4"/>' * 9000,
        f'<mask id="a">{ALL}fill="#fff"/></mask>' + f'{ALL}mask="url(#a)"/>' * 6000,
    ],
    ids=["blur", "blur in a style", "layers", "dashes", "masks"],
)
def test_what_costs_only_when_it_is_drawn_is_bounded(body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawings, "_SECONDS", 1)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with pytest.raises(ImageError, match=r"took more than 1 s|nothing is drawn"):
        draw_svg(svg(body), source="mark.svg")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime < 5  # it is drawn on two grounds at most


def test_a_file_of_beginnings_is_read_once() -> None:
    start = time.process_time()
    with pytest.raises(ImageError):
        draw_svg((b"<!DOCTYPE " * MOST_BYTES)[:MOST_BYTES], source="x")
    assert time.process_time() - start < 3  # it took a minute


def test_a_catalog_keeps_svg_marks_as_pictures_and_lists_bad_ones(tmp_path: Path) -> None:
    import PIL.Image

    source = tmp_path / "photos"
    (source / "acme" / "tote").mkdir(parents=True)
    (source / "acme" / "logo").mkdir()
    rng = np.random.default_rng(1)
    PIL.Image.fromarray(rng.integers(0, 256, (80, 80, 3), np.uint8)).save(source / "acme" / "tote" / "front.png")
    (source / "acme" / "logo" / "bar.svg").write_bytes(svg(BAR))
    (source / "acme" / "logo" / "bad.svg").write_bytes(svg('<image href="/etc/hostname"/>'))
    (source / "acme" / "tote" / "not-a-photo.svg").write_bytes(svg(BAR))
    (source / "mark.svg").write_bytes(svg(BAR))
    (source / "brands.jsonl").write_text(
        '{"brand": "acme", "logos": [{"path": "mark.svg", "kind": "combined", "box": [0, 0, 20, 20]}]}\n'
    )
    catalog = Catalog.build(source, tmp_path / "catalog", encoder=GridEncoder())
    assert ("acme/logo/bad.svg", True) in [(i.place, "embeds a picture" in i.problem) for i in catalog.issues]
    logos = catalog.brands["acme"].logos
    assert sorted((g.kind, g.box) for g in logos) == [("combined", (0.0, 0.0, 400.0, 400.0)), ("figure", None)]
    for logo in logos:
        image = catalog.photo(logo.photo).image
        assert image.format == "PNG"
        make_reference("acme", logo.photo, logo.kind, image, logo.box)
