"""case.pdf: the case on paper, by ReportLab; the same input gives the same bytes."""

from __future__ import annotations

import importlib.util
import io
import itertools
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from imgmatch.errors import ImageError, MissingExtraError
from imgmatch.images import load_image, thumbnail_jpeg
from imgmatch.investigate.report import words
from imgmatch.investigate.report.listings import Entry
from imgmatch.messages import Language, Message, listed

_log = logging.getLogger("imgmatch")

__all__ = ["write_pdf"]

_DRAWN = 40
_SIDE = 320
_PLAIN, _BOLD, _CJK, _KOREAN = "DejaVuSans", "DejaVuSans-Bold", "STSong-Light", "HYSMyeongJo-Medium"
_EMBEDDED = "WenQuanYiMicroHei"  # Noto's CJK fonts have outlines that ReportLab cannot embed
_CJK_FILES = (
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",  # Debian, Ubuntu: fonts-wqy-microhei
    "/usr/share/fonts/wqy-microhei-fonts/wqy-microhei.ttc",  # Fedora: wqy-microhei-fonts
    "/usr/share/fonts/wqy-microhei/wqy-microhei.ttc",  # Arch: wqy-microhei
)
_LONGEST = 2000  # letters of one text on paper; case.html and listings.jsonl have all


def write_pdf(shown: Mapping[str, Any], spoken: Language, *, picture: Callable[[str | None], Path | None]) -> bytes:
    """Write the paper version of a case.

    Parameters
    ----------
    shown : mapping
        What ``case.html`` shows: ``heading``, ``key``, ``next``, ``sections`` and the rows of each, ``entries`` (strongest
        first; 40 are drawn with their photo and reference), ``table`` (all listings) and ``hashes_show``.
    spoken : Language
    picture : callable
        sha256 to the file of a photo or reference, or None.

    Raises
    ------
    MissingExtraError
        Without the extra ``case``.

    Notes
    -----
    Latin, Greek, Cyrillic, Arabic, Hebrew and what else DejaVu Sans has is set in that font, embedded from matplotlib;
    Chinese, Japanese and Korean in WenQuanYi Micro Hei, embedded, where that is installed (Debian: ``fonts-wqy-microhei``; a
    warning says where a Chinese case lacks it), else in standard fonts that the PDF's reader must bring. Letters of other
    scripts are shown by their code points. Right-to-left words are joined and ordered as they are read, but a long text that
    breaks into lines begins in its last line. case.html has every letter in its place.
    """
    try:
        import arabic_reshaper  # type: ignore[import-untyped]  # noqa: F401
        import reportlab  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("writing a PDF", "case") from error
    _register_fonts()
    if spoken.code == "zh" and not _embeds_cjk():
        _log.warning("case.pdf has no Chinese font to embed and may show blanks: apt-get install fonts-wqy-microhei")
    entries: Sequence[Entry] = shown["entries"]
    paper = _Paper(picture, spoken)
    story = paper.cover(shown["heading"], shown["key"], shown["next"])
    story += [row for part in ("facts", "inference") for row in paper.section(shown["sections"][part], shown[part])]
    if entries:
        story.append(paper.text(Message("The listings, strongest first"), "h2"))
    story += [paper.entry(entry) for entry in entries[:_DRAWN]]
    if len(entries) > _DRAWN:
        more = Message("Further listings, drawn in case.html: {count}.", count=len(entries) - _DRAWN)
        story.append(paper.text(more, "note"))
    story += paper.listings(shown["table"])
    story += paper.section(shown["sections"]["provenance"], shown["provenance"])
    story.append(paper.text(shown["hashes_show"], "note"))
    return paper.print(story, shown["heading"])


_COLUMNS = (Message("Listing"), Message("Title"), Message("Price"), Message("Captured"), Message("Decision"))


def _claim(entry: Entry) -> Message:
    if not entry.claim:
        return Message("No brand claim was found.")
    if not entry.item:
        return Message("Presents itself as {brand}.", brand=entry.claim)
    return Message("Presents itself as {brand}, nearest to {item}.", brand=entry.claim, item=entry.item)


class _Paper:
    """The styles of a case on paper, and its parts as ReportLab sets them."""

    def __init__(self, picture: Callable[[str | None], Path | None], spoken: Language) -> None:
        from reportlab.lib import colors
        from reportlab.lib.enums import TA_LEFT
        from reportlab.lib.styles import ParagraphStyle
        from reportlab.lib.units import mm
        from reportlab.platypus import TableStyle

        self._picture, self._mm, self._say = picture, mm, spoken.say
        ink, line = colors.HexColor("#1d2127"), colors.HexColor("#dcdad4")
        self._quiet = colors.HexColor("#646b75")
        body = ParagraphStyle(
            "body", fontName=_PLAIN, fontSize=8.5, leading=12, textColor=ink, alignment=TA_LEFT, wordWrap="CJK"
        )
        self._styles = {
            "body": body,
            "small": ParagraphStyle("small", body, fontSize=7.5, leading=10),
            "note": ParagraphStyle("note", body, textColor=self._quiet),
            "foot": ParagraphStyle("foot", body, fontSize=7, leading=9, textColor=self._quiet),
            "h1": ParagraphStyle("h1", body, fontName=_BOLD, fontSize=17, leading=22, spaceAfter=4),
            "h2": ParagraphStyle(
                "h2", body, fontName=_BOLD, fontSize=11.5, leading=15, spaceBefore=12, spaceAfter=5, keepWithNext=1
            ),
            "h3": ParagraphStyle("h3", body, fontName=_BOLD, fontSize=9.5, leading=13, spaceBefore=10, spaceAfter=3),
        }
        self._grid = TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LINEBELOW", (0, 0), (-1, -1), 0.4, line)])

    def text(self, value: str, style: str = "body") -> Any:
        from reportlab.platypus import Paragraph

        return Paragraph(marked(self._say(value)), self._styles[style])

    def photo(self, sha256: str | None) -> Any:
        from reportlab.platypus import Image

        path = self._picture(sha256)
        if path is None:
            return self.text(Message("not available"), "note")
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

    def cover(self, title: str, key: Sequence[tuple[str, str]], steps: Sequence[str]) -> list[Any]:
        """Set what a reader needs first: whom it is about, the key figures, what to do next."""
        from reportlab.platypus import Spacer

        kind = Message("{program} · {kind}", program="imgmatch", kind=Message("case file"))
        head = [self.text(kind, "note"), self.text(title, "h1"), self.text(words.DISCLAIMER), Spacer(1, 6)]
        cells = [[self.text(name, "note"), self.text(value)] for name, value in key]
        numbered = [self.text(Message("{number}. {step}", number=n, step=step)) for n, step in enumerate(steps, 1)]
        return [*head, self.table(cells, (42, 132)), self.text(Message("What to do next"), "h2"), *numbered]

    def section(self, heading: str, rows: Sequence[tuple[str, str]]) -> list[Any]:
        cells = [[self.text(name, "note"), self.text(value)] for name, value in rows]
        return [self.text(heading, "h2"), self.table(cells, (42, 132))]

    def listings(self, table: Sequence[Mapping[str, Any]]) -> list[Any]:
        head = [self.text(name, "note") for name in _COLUMNS]
        rows = [[self.text(row[key], "small") for key in ("id", "title", "price", "time", "decision")] for row in table]
        return [self.text(Message("All listings"), "h2"), self.table([head, *rows], (28, 64, 28, 36, 18), repeatRows=1)]

    def entry(self, entry: Entry) -> Any:
        """Set a listing with its photo, the catalog's, and what there is to say."""
        from reportlab.platypus import KeepTogether

        verdict, photos = entry.record.verdict, entry.record.photos
        best = verdict.candidates[0] if verdict and verdict.candidates else None
        shown = next((p for p in photos if best and p.photo_id == best.photo_id), None)
        shown = shown or next((p for p in photos if p.status == "ok"), None)
        decision = Message("{decision}. {claim}", decision=words.DECISION_WORDS[entry.decision], claim=_claim(entry))
        details = tuple(Message("{name}: {value}", name=name, value=value) for name, value in entry.details)
        said = [
            self.text(decision),
            *(self.text(Message("• {reason}", reason=words.plain(r, 300))) for r in entry.reasons[:6]),
            self.text(listed(*details), "small"),
        ]
        if entry.url:
            said.append(self.text(entry.url, "small"))
        pictures = [self.photo(shown.sha256 if shown else None), self.photo(best.photo if best else None)]
        layout = self.table([[*pictures, said]], (46, 46, 82), style=[("VALIGN", (0, 0), (-1, -1), "TOP")])
        caption = self.text(Message("left: the listing’s photo; middle: the catalog’s photo"), "note")
        return KeepTogether(
            [self.text(Message("{number}. {title}", number=entry.rank, title=entry.title), "h3"), layout, caption]
        )

    def print(self, story: list[Any], title: str) -> bytes:
        """Set the pages, each with the disclaimer below."""
        from reportlab.lib.pagesizes import A4
        from reportlab.platypus import SimpleDocTemplate

        mm = self._mm

        def footer(canvas: Any, document: Any) -> None:
            note = self.text(words.DISCLAIMER, "foot")
            note.wrapOn(canvas, 150 * mm, 10 * mm)
            note.drawOn(canvas, 18 * mm, 9 * mm)
            canvas.setFont(_PLAIN, 7)
            canvas.setFillColor(self._quiet)
            canvas.drawRightString(192 * mm, 10 * mm, str(document.page))

        out = io.BytesIO()
        document = SimpleDocTemplate(
            out,
            pagesize=A4,
            leftMargin=18 * mm,
            rightMargin=18 * mm,
            topMargin=16 * mm,
            bottomMargin=18 * mm,
            title=self._say(title),
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
    found = next(filter(Path.is_file, map(Path, _CJK_FILES)), None)
    if found is not None and _EMBEDDED not in known:
        pdfmetrics.registerFont(TTFont(_EMBEDDED, str(found)))


def _embeds_cjk() -> bool:
    from reportlab.pdfbase import pdfmetrics

    return _EMBEDDED in pdfmetrics.getRegisteredFontNames()


def _font_folder() -> Path:
    """Return the folder of the DejaVu fonts, without importing the library that carries them."""
    found = importlib.util.find_spec("matplotlib")
    if found is None or found.origin is None:
        raise MissingExtraError("writing a PDF", "case")
    return Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"


def marked(text: str) -> str:
    """Return ReportLab markup in which every letter stands in a font that has it."""
    from reportlab.pdfbase import pdfmetrics

    embedded = [_PLAIN, *([_EMBEDDED] if _embeds_cjk() else [])]
    has = {name: pdfmetrics.getFont(name).face.charToGlyph for name in embedded}
    out: list[str] = []
    for font, letters in itertools.groupby(_as_read(text[:_LONGEST]), lambda letter: _font_of(letter, has)):
        run = "".join(letters)
        if font == "":
            run = "".join(f"(U+{ord(letter):04X})" for letter in run)
        out.append(f'<font name="{font}">{escape(run)}</font>' if font in (_EMBEDDED, _CJK, _KOREAN) else escape(run))
    return "".join(out)


def _font_of(letter: str, has: Mapping[str, Mapping[int, int]]) -> str:
    code = ord(letter)
    if found := next((name for name, glyphs in has.items() if code in glyphs), None):
        return found
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
