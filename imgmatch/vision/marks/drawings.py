"""Drawings of marks as files: an SVG, which nobody vouches for, as a PNG; and a ground on which the mark shows."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from xml.etree import ElementTree

from imgmatch.config import ImageConfig
from imgmatch.errors import ImageError, printable
from imgmatch.images import load_image
from imgmatch.types import UInt8Array
from imgmatch.vision.marks import renderer

__all__ = ["draw_svg", "on_ground"]

SIDE = 800
"""Longer side in pixels of what is drawn: five times an ink map's, so that curves stay curves."""

MOST_BYTES, MOST_ELEMENTS, MOST_DEPTH = 2**20, 20_000, 64
"""Limits on a file: its size, its elements after all references are followed, and how deep they nest. Marks are far
smaller: the largest of the 3,470 drawings of the npm package simple-icons has 54 kB."""

_SECONDS = int(ImageConfig().max_seconds)  # of one drawing, as of one photo

_REFUSED = {
    "image": "embeds a picture",
    "feImage": "embeds a picture",
    "foreignObject": "embeds other content",
    "script": "holds a script",
    "text": "holds text, which looks different with other fonts: convert it to outlines",
    "filter": "uses filters: export the plain mark",
}
_LOCAL = re.compile(r"url\(\s*['\"]?#([^)'\"]+)['\"]?\s*\)")


def draw_svg(data: bytes, *, source: str) -> tuple[bytes, float]:
    """Draw a mark on white, on black where it is white itself.

    Parameters
    ----------
    data : bytes
        The file; plain UTF-8.
    source : str
        What messages call it.

    Returns
    -------
    png : bytes
        `SIDE` pixels on its longer side.
    scale : float
        Pixels of the picture per unit of the drawing.

    Raises
    ------
    ImageError
        For every file that is not drawn, also where the extra ``svg`` is not installed. Nothing outside the file is ever
        looked at: pictures, links to other files, entities, fonts and style sheets that load something are refused before
        the file is drawn.
    """
    if find_spec("resvg_py") is None:
        raise ImageError(
            "missing_extra", "an SVG mark needs an optional library: pip install 'imgmatch[svg]'", source=source
        )
    text = _decoded(data, source)
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - entities were refused above
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise ImageError("corrupt", f"not a well-formed SVG file: {error}", source=source) from error
    if _name(root) != "svg":
        raise ImageError("format_not_allowed", f"expected an <svg> document, got <{_name(root):.40}>", source=source)
    width, height = _size(root, source)
    _check(root, source)
    scale = SIDE / max(width, height)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    for ground in ("#ffffff", "#000000"):
        png = _rendered(text, ground, size, source)
        if not _even(load_image(png, name=source).pixels):
            return png, scale
    raise ImageError("corrupt", "nothing is drawn", source=source)


def _rendered(text: str, ground: str, size: tuple[int, int], source: str) -> bytes:
    """Draw in a process of its own, which may run out of time or memory, or crash."""
    command = [sys.executable, "-W", "ignore", renderer.__file__, str(_SECONDS), ground, *map(str, size)]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and file
            command, input=text.encode(), capture_output=True, timeout=10 * _SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ImageError("timeout", "took too long to draw", source=source) from error
    if done.returncode < 0:
        why = f"drawing it took more than {_SECONDS} s or {renderer.MEMORY // 1024**2} MB, or crashed"
        raise ImageError("timeout", why, source=source)
    if done.returncode:
        why = printable(done.stderr.decode("utf-8", "replace").strip()[-256:])
        raise ImageError("corrupt", f"cannot be drawn: {why}", source=source)
    return done.stdout


def _decoded(data: bytes, source: str) -> str:
    if len(data) > MOST_BYTES:
        raise ImageError("too_large", f"more than {MOST_BYTES} bytes for one mark", source=source)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ImageError("format_not_allowed", "expected plain UTF-8 text (SVG, not compressed)", source=source) from error
    # Whatever an entity stands for is expanded while parsing; marks need none.
    if re.search(r"<!ENTITY|<!DOCTYPE[^<>\[]*\[", text, re.IGNORECASE):
        raise ImageError("format_not_allowed", "declares entities", source=source)
    return re.sub(r"<!DOCTYPE[^<>]*>", "", text, count=1, flags=re.IGNORECASE)


def _name(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _size(root: ElementTree.Element, source: str) -> tuple[float, float]:
    """Return the drawing's width and height in its own units."""
    try:
        if box := root.get("viewBox"):
            width, height = (float(x) for x in re.split(r"[\s,]+", box.strip())[2:4])
        else:
            width, height = (
                float(re.sub(r"(px|pt|mm|cm|in)$", "", root.attrib[side].strip())) for side in ("width", "height")
            )
    except (KeyError, ValueError) as error:
        raise ImageError("corrupt", "does not say how large it is: give it a viewBox", source=source) from error
    if not (0 < width < 1e6 and 0 < height < 1e6 and 1 / 30 < width / height < 30):
        raise ImageError("too_large", f"is {width:g} by {height:g} units; expected a side ratio below 30", source=source)
    return width, height


def _check(root: ElementTree.Element, source: str) -> None:
    """Refuse what looks outside the file, and what grows beyond all bounds when its references are followed."""
    by_id = {e.attrib["id"]: e for e in root.iter() if "id" in e.attrib}
    costs: dict[int, int] = {}

    def cost(element: ElementTree.Element, depth: int) -> int:
        if depth > MOST_DEPTH:
            raise ImageError("format_not_allowed", f"nests deeper than {MOST_DEPTH}, or refers to itself", source=source)
        if id(element) not in costs:
            if why := _REFUSED.get(_name(element)):
                raise ImageError("format_not_allowed", why, source=source)
            inside = [*element, *(by_id[name] for name in _references(element, source) if name in by_id)]
            costs[id(element)] = min(1 + sum(cost(child, depth + 1) for child in inside), MOST_ELEMENTS + 1)
        return costs[id(element)]

    if cost(root, 0) > MOST_ELEMENTS:
        raise ImageError("too_large", f"is more than {MOST_ELEMENTS} elements once references are followed", source=source)


def _references(element: ElementTree.Element, source: str) -> list[str]:
    """Return the ids that an element refers to."""
    found = []
    for key, value in _values(element).items():
        if key.rpartition("}")[2] == "href":
            if not value.startswith("#"):
                raise ImageError("format_not_allowed", f"refers to something outside the file: {value!r:.60}", source=source)
            found.append(value[1:])
        local = _LOCAL.findall(value)
        if len(local) != len(re.findall(r"url\s*\(", value, re.IGNORECASE)) or "@import" in value.lower():
            raise ImageError("format_not_allowed", "refers to something outside the file in a style", source=source)
        if local and key == "style sheet":
            raise ImageError("format_not_allowed", "refers to its parts in a style sheet: use attributes", source=source)
        found += local
    return found


def _values(element: ElementTree.Element) -> Mapping[str, str]:
    sheet = {"style sheet": "".join(element.itertext())} if _name(element) == "style" else {}
    return {**{str(k): str(v) for k, v in element.attrib.items()}, **sheet}


def on_ground(data: bytes, *, source: str) -> bytes:
    """Return a picture of a mark, laid on black where it is white on a transparent ground.

    Parameters
    ----------
    data : bytes
        A file in any format that is read.
    source : str
        What messages call it.

    Raises
    ------
    ImageError
        Where it cannot be read.
    """
    import PIL.Image
    import PIL.ImageOps

    if not _even(load_image(data, name=source).pixels):
        return data
    with PIL.Image.open(io.BytesIO(data)) as im:
        if not im.has_transparency_data:
            return data
        drawn = PIL.ImageOps.exif_transpose(im).convert("RGBA")
    black = PIL.Image.new("RGBA", drawn.size, "black")
    out = io.BytesIO()
    PIL.Image.alpha_composite(black, drawn).convert("RGB").save(out, "PNG")
    return out.getvalue()


def _even(pixels: UInt8Array) -> bool:
    return int(pixels.max()) - int(pixels.min()) < 60
