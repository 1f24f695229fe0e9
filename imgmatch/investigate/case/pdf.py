"""case.pdf: the case on paper, by ReportLab; the same input gives the same bytes."""

from __future__ import annotations

import importlib.util
import io
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from imgmatch.errors import ImageError, MissingExtraError
from imgmatch.images import load_image, thumbnail_jpeg
from imgmatch.investigate.report import words
from imgmatch.investigate.report.listings import Entry

__all__ = ["write_pdf"]

_DRAWN = 40
_SIDE = 320
_PLAIN, _BOLD, _CJK, _KOREAN = "DejaVuSans", "DejaVuSans-Bold", "STSong-Light", "HYSMyeongJo-Medium"
_LONGEST = 2000  # letters of one text on paper; case.html and listings.jsonl have all


def write_pdf(
    *,
    title: str,
    statement: str,
    sections: Sequence[tuple[str, Sequence[tuple[str, str]]]],
    entries: Sequence[Entry],
    table: Sequence[Mapping[str, Any]],
    picture: Callable[[str | None], Path | None],
) -> bytes:
    """Write the paper version of a case.

    Parameters
    ----------
    title, statement : str
    sections : sequence of (heading, rows)
        Rows are (name, value).
    entries : sequence of Entry
        Strongest first; the first 40 are drawn with their photo and reference.
    table : sequence of mapping
        All listings: ``id``, ``title``, ``price``, ``time``, ``url``, ``decision``.
    picture : callable
        sha256 to the file of a photo or reference, or None.

    Raises
    ------
    MissingExtraError
        Without the extra ``case``.

    Notes
    -----
    Latin, Greek, Cyrillic, Arabic, Hebrew and what else DejaVu Sans has is set in that font, embedded from matplotlib;
    Chinese, Japanese and Korean in standard fonts that PDF readers bring; letters of other scripts are shown by their code
    points. Right-to-left words are joined and ordered as they are read, but a long text that breaks into lines begins in its
    last line. case.html has every letter in its place.
    """
    try:
        import arabic_reshaper  # type: ignore[import-untyped]  # noqa: F401
        import reportlab  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("writing a PDF", "case") from error
    _register_fonts()
    paper = _Paper(picture)
    story = paper.cover(title, statement)
    for heading, rows in sections:
        story += paper.section(heading, rows)
    story += paper.listings(table)
    if entries:
        story.append(paper.text("The strongest listings", "h2"))
    story += [paper.entry(entry) for entry in entries[:_DRAWN]]
    if len(entries) > _DRAWN:
        story.append(paper.text(f"{len(entries) - _DRAWN} further listings are drawn in case.html.", "note"))
    return paper.print(story, title)


class _Paper:
    """The styles of a case on paper, and its parts as ReportLab sets them."""

    def __init__(self, picture: Callable[[str | None], Path | None]) -> None:
        from reportlab.lib import colors
        from reportlab.lib.enums import TA_LEFT
        from reportlab.lib.styles import ParagraphStyle
        from reportlab.lib.units import mm
        from reportlab.platypus import TableStyle

        self._picture, self._mm = picture, mm
        ink, line = colors.HexColor("#1d2127"), colors.HexColor("#dcdad4")
        self._quiet = colors.HexColor("#646b75")
        body = ParagraphStyle(
            "body", fontName=_PLAIN, fontSize=8.5, leading=12, textColor=ink, alignment=TA_LEFT, wordWrap="CJK"
        )
        self._styles = {
            "body": body,
            "small": ParagraphStyle("small", body, fontSize=7.5, leading=10),
            "note": ParagraphStyle("note", body, textColor=self._quiet),
            "h1": ParagraphStyle("h1", body, fontName=_BOLD, fontSize=17, leading=22, spaceAfter=4),
            "h2": ParagraphStyle("h2", body, fontName=_BOLD, fontSize=11.5, leading=15, spaceBefore=12, spaceAfter=5),
            "h3": ParagraphStyle("h3", body, fontName=_BOLD, fontSize=9.5, leading=13, spaceBefore=10, spaceAfter=3),
        }
        self._grid = TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LINEBELOW", (0, 0), (-1, -1), 0.4, line)])

    def text(self, value: Any, style: str = "body") -> Any:
        from reportlab.platypus import Paragraph

        return Paragraph(_marked(str(value)), self._styles[style])

    def photo(self, sha256: str | None) -> Any:
        from reportlab.platypus import Image

        path = self._picture(sha256)
        if path is None:
            return self.text("not at hand", "note")
        try:
            jpeg = thumbnail_jpeg(load_image(path, target_side=_SIDE), _SIDE)
        except ImageError as error:
            return self.text(error.reason, "note")
        drawn = Image(io.BytesIO(jpeg))
        scale = 44 * self._mm / max(drawn.imageWidth, drawn.imageHeight)
        drawn.drawWidth, drawn.drawHeight = drawn.imageWidth * scale, drawn.imageHeight * scale
        drawn.hAlign = "LEFT"
        return drawn

    def table(self, rows: Sequence[Sequence[Any]], millimetres: Sequence[int], **options: Any) -> Any:
        from reportlab.platypus import Table

        return Table(rows, colWidths=[width * self._mm for width in millimetres], **{"style": self._grid, **options})

    def cover(self, title: str, statement: str) -> list[Any]:
        from reportlab.platypus import Spacer

        head = [self.text("imgmatch · case file", "note"), self.text(title, "h1"), self.text(words.DISCLAIMER)]
        return [*head, Spacer(1, 4), self.text(statement, "note")]

    def section(self, heading: str, rows: Sequence[tuple[str, str]]) -> list[Any]:
        cells = [[self.text(name, "note"), self.text(value)] for name, value in rows]
        return [self.text(heading, "h2"), self.table(cells, (42, 132))]

    def listings(self, table: Sequence[Mapping[str, Any]]) -> list[Any]:
        head = [self.text(name, "note") for name in ("Listing", "Title", "Price", "Captured", "Decision")]
        rows = [[self.text(row[key], "small") for key in ("id", "title", "price", "time", "decision")] for row in table]
        return [self.text("All listings", "h2"), self.table([head, *rows], (28, 64, 28, 36, 18), repeatRows=1)]

    def entry(self, entry: Entry) -> Any:
        """Set a listing with its photo, the catalog's, and what there is to say."""
        from reportlab.platypus import KeepTogether

        verdict, photos = entry.record.verdict, entry.record.photos
        best = verdict.candidates[0] if verdict and verdict.candidates else None
        shown = next((p for p in photos if best and p.photo_id == best.photo_id), None)
        shown = shown or next((p for p in photos if p.status == "ok"), None)
        nearest = f", nearest to {entry.item}" if entry.item else ""
        claim = f"Presents itself as {entry.claim}{nearest}" if entry.claim else "No brand claim found"
        said = [
            self.text(f"{words.DECISION_WORDS[entry.decision]}. {claim}."),
            *(self.text(f"• {words.plain(r, 300)}") for r in entry.reasons[:6]),
            self.text("; ".join(f"{name} {value}" for name, value in entry.details), "small"),
        ]
        if entry.url:
            said.append(self.text(entry.url, "small"))
        pictures = [self.photo(shown.sha256 if shown else None), self.photo(best.photo if best else None)]
        layout = self.table([[*pictures, said]], (46, 46, 82), style=[("VALIGN", (0, 0), (-1, -1), "TOP")])
        caption = self.text("left: the listing’s photo; middle: the catalog’s photo", "note")
        return KeepTogether([self.text(f"{entry.rank}. {entry.title}", "h3"), layout, caption])

    def print(self, story: list[Any], title: str) -> bytes:
        from reportlab.lib.pagesizes import A4
        from reportlab.platypus import SimpleDocTemplate

        mm = self._mm

        def footer(canvas: Any, document: Any) -> None:
            canvas.setFont(_PLAIN, 7)
            canvas.setFillColor(self._quiet)
            canvas.drawString(18 * mm, 10 * mm, words.DISCLAIMER)
            canvas.drawRightString(192 * mm, 10 * mm, str(document.page))

        out = io.BytesIO()
        document = SimpleDocTemplate(
            out,
            pagesize=A4,
            leftMargin=18 * mm,
            rightMargin=18 * mm,
            topMargin=16 * mm,
            bottomMargin=18 * mm,
            title=_latin(title),
            author="imgmatch",
            invariant=1,  # no clock and no random id in the file
        )
        document.build(story, onFirstPage=footer, onLaterPages=footer)
        return out.getvalue()


def _register_fonts() -> None:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfbase.ttfonts import TTFont

    known = set(pdfmetrics.getRegisteredFontNames())
    for name in {_PLAIN, _BOLD} - known:
        pdfmetrics.registerFont(TTFont(name, str(_font_folder() / f"{name}.ttf")))
    for name in {_CJK, _KOREAN} - known:
        pdfmetrics.registerFont(UnicodeCIDFont(name))


def _font_folder() -> Path:
    """Return the folder of the DejaVu fonts, without importing the library that carries them."""
    found = importlib.util.find_spec("matplotlib")
    if found is None or found.origin is None:
        raise MissingExtraError("writing a PDF", "case")
    return Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"


def _marked(text: str) -> str:
    """Return ReportLab markup in which every letter stands in a font that has it."""
    from reportlab.pdfbase import pdfmetrics

    has = pdfmetrics.getFont(_PLAIN).face.charToGlyph
    out: list[str] = []
    for font, letters in itertools.groupby(_as_read(text[:_LONGEST]), lambda letter: _font_of(letter, has)):
        run = "".join(letters)
        if font == "":
            run = "".join(f"(U+{ord(letter):04X})" for letter in run)
        out.append(f'<font name="{font}">{escape(run)}</font>' if font in (_CJK, _KOREAN) else escape(run))
    return "".join(out)


def _font_of(letter: str, has: Mapping[int, int]) -> str:
    code = ord(letter)
    if code in has:
        return _PLAIN
    if 0xAC00 <= code <= 0xD7A3:
        return _KOREAN
    return _CJK if 0x3000 <= code <= 0x9FFF or 0xFF00 <= code <= 0xFFEF else ""


_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]+(?: +[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]+)*")


def _as_read(text: str) -> str:
    """Return the text with right-to-left words in the order of their shapes from the left, Arabic letters joined."""
    if not _RIGHT_TO_LEFT.search(text):
        return text
    import arabic_reshaper

    return _RIGHT_TO_LEFT.sub(lambda found: found[0][::-1], arabic_reshaper.reshape(text))


def _latin(text: str) -> str:
    return text.encode("latin-1", "replace").decode("latin-1")
