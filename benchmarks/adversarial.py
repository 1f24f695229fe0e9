"""Can a listing talk its way to *clear* with another brand's name, a paper label, or a border made against the encoder?

Every query, a photo of a brand that the catalog has, is examined unattacked and under each attack, once as a bare photo and
once in a listing whose title says "1:1 mirror quality" and names no brand, so that the claim must come from the photo. The
attacker knows the encoder and its weights:

- label: the name of another brand of the catalog on a paper label across the product (a typographic attack);
- caption: that name in a bar above the photo; overlay: that name over the whole photo, half transparent;
- border: a frame of a tenth of the side around the photo, optimised by 60 steps of signed gradient (Madry et al. 2018,
  arXiv:1706.06083, with the frame in place of a small norm) towards the middle of another brand's catalog photos;
- frame: the same frame in plain grey, to tell what the border's pattern does from what its place does.

What must not happen: findings that disagree on the brand, and a verdict *clear*.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from benchmarks.claims import known_and_others
from benchmarks.frame import scorer
from benchmarks.frame.job import Job, findings

QUESTION = "Can another brand's name, a paper label or an adversarial frame clear a listing?"
DATA = ("eval_bags_watches", "rendered")
ATTACKS = ("none", "label", "caption", "overlay", "frame", "border")
QUERIES = 48
SIGNALS = ("design", "copy", "text", "logo")
CLAIM = 0.6  # the highest level that weights/rules.toml asks of text, logo, design
WORDING = "1:1 mirror quality, order by message"
_MODEL_SIDE, _FRAME, _ENLARGED = 256, 26, 4  # the frame as the encoder sees it, and how much larger the photo is


def _lettering(text: str, width: int, fill: tuple[int, ...], paper: tuple[int, ...]) -> PIL.Image.Image:
    """Draw a name in a box `width` pixels wide."""
    font = PIL.ImageFont.load_default(100)
    left, top, right, bottom = font.getbbox(text)
    drawn = PIL.Image.new("RGBA", (int(right - left) + 60, int(bottom - top) + 60), paper)
    PIL.ImageDraw.Draw(drawn).text((30 - left, 30 - top), text, font=font, fill=fill)
    return drawn.resize((width, max(1, round(drawn.height * width / drawn.width))), PIL.Image.Resampling.LANCZOS)


def label(photo: PIL.Image.Image, name: str, rng: np.random.Generator) -> PIL.Image.Image:
    """Lay a paper label with `name` across the product."""
    paper = _lettering(name.upper(), round(0.45 * photo.width), (20, 20, 20, 255), (250, 248, 240, 255))
    paper = paper.rotate(float(rng.uniform(-8, 8)), PIL.Image.Resampling.BICUBIC, expand=True)
    out = photo.copy()
    at = (round(photo.width * 0.5 - paper.width / 2), round(photo.height * rng.uniform(0.5, 0.7) - paper.height / 2))
    out.paste(paper, at, paper)
    return out


def caption(photo: PIL.Image.Image, name: str) -> PIL.Image.Image:
    """Put a bar with `name` above the photo."""
    words = _lettering(name.upper(), round(0.6 * photo.width), (255, 255, 255, 255), (0, 0, 0, 255))
    out = PIL.Image.new("RGB", (photo.width, photo.height + words.height), (0, 0, 0))
    out.paste(words, (round(0.2 * photo.width), 0), words)
    out.paste(photo, (0, words.height))
    return out


def overlay(photo: PIL.Image.Image, name: str) -> PIL.Image.Image:
    """Write `name` over the whole photo, half transparent."""
    words = _lettering(name.upper(), round(0.95 * photo.width), (255, 255, 255, 128), (0, 0, 0, 0))
    out = photo.copy()
    for share in (0.15, 0.45, 0.75):
        out.paste(words, (round(0.025 * photo.width), round(share * photo.height)), words)
    return out


def _framed(photo: PIL.Image.Image, frame: np.ndarray[Any, Any]) -> PIL.Image.Image:
    """Set the photo, made square with white, into a (256, 256, 3) uint8 frame, at four times that size."""
    side = max(photo.size)
    square = PIL.Image.new("RGB", (side, side), (255, 255, 255))
    square.paste(photo, ((side - photo.width) // 2, (side - photo.height) // 2))
    inner = (_MODEL_SIDE - 2 * _FRAME) * _ENLARGED
    out = PIL.Image.fromarray(frame).resize((_MODEL_SIDE * _ENLARGED,) * 2, PIL.Image.Resampling.NEAREST)
    out.paste(square.resize((inner, inner), PIL.Image.Resampling.LANCZOS), (_FRAME * _ENLARGED,) * 2)
    return out


def _grey() -> np.ndarray[Any, Any]:
    return np.full((_MODEL_SIDE, _MODEL_SIDE, 3), 127, np.uint8)


def border(photo: PIL.Image.Image, encoder: Any, target: np.ndarray[Any, Any]) -> PIL.Image.Image:
    """Return the framed photo whose frame draws the embedding towards `target`, (d,) float32."""
    import torch

    def tensor(pixels: np.ndarray[Any, Any]) -> Any:
        return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float()

    start = np.asarray(_framed(photo, _grey()).resize((_MODEL_SIDE, _MODEL_SIDE), PIL.Image.Resampling.BILINEAR))
    x, goal = tensor(start), torch.from_numpy(target)
    free = torch.ones_like(x)
    free[..., _FRAME:-_FRAME, _FRAME:-_FRAME] = 0
    cut = (_MODEL_SIDE - encoder.input_size) // 2
    for step in range(60):
        x.requires_grad_(True)
        seen = (x[..., cut:-cut, cut:-cut] - encoder._mean) / encoder._std
        similarity = torch.nn.functional.cosine_similarity(encoder._embed(seen)[0], goal, dim=0)
        (gradient,) = torch.autograd.grad(similarity, x)
        x = (x.detach() + free * gradient.sign() * 255 * 0.1 * (1 - step / 60)).clamp(0, 255)
    return _framed(photo, x[0].permute(1, 2, 0).round().to(torch.uint8).numpy())


def run(job: Job) -> Iterator[dict[str, Any]]:
    from imgmatch import Listing, Matcher, load_encoder

    catalog, others = known_and_others(job.known(job.data.photos), 20)
    queries = job.some((p for p in job.asked(others) if p.split != "dev"), job.size(1, 4, QUERIES))
    built = job.catalog(catalog)
    matcher, attacked = Matcher(built), load_encoder(f"torch:{job.encoder_name}", device="cpu")  # an export has no gradients
    vectors, brands = job.embed(catalog), np.array([p.brand for p in catalog])
    middles = {b: vectors[brands == b].mean(0) for b in sorted(set(brands))}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for number, query in enumerate(queries):
            rng = np.random.default_rng(number)
            other = str(rng.choice([b for b in middles if b != query.brand]))
            photo, name = PIL.Image.open(query.path).convert("RGB"), built.brands[other].name
            made: dict[str, Callable[[], PIL.Image.Image]] = {
                "none": lambda photo=photo: photo,
                "label": lambda photo=photo, name=name, rng=rng: label(photo, name, rng),
                "caption": lambda photo=photo, name=name: caption(photo, name),
                "overlay": lambda photo=photo, name=name: overlay(photo, name),
                "frame": lambda photo=photo: _framed(photo, _grey()),
                "border": lambda photo=photo, other=other: border(photo, attacked, middles[other]),
            }
            for attack in ATTACKS:
                file = f"{number}-{attack}.jpg"
                made[attack]().save(folder / file, quality=95)
                for listing in (Listing("bare", (file,)), Listing("worded", (file,), title=WORDING)):
                    record = matcher.examine(listing, photos=folder)
                    claims: dict[str, list[str]] = {}
                    for finding in findings(record, *SIGNALS):
                        if finding.brand and (finding.value or 0) >= CLAIM:
                            claims.setdefault(finding.signal, []).append(finding.brand)
                    yield {"query": number, "unit": query.group, "brand": query.brand, "other": other, "attack": attack,
                           "listing": listing.listing_id, "claims": claims,
                           "decision": str(record.verdict.decision) if record.verdict else "failed"}  # fmt: skip


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    def cleared(what: str, of: list[dict[str, Any]], **more: str) -> scorer.Figure:
        return scorer.share_of(what, of, lambda r: r["decision"] == "clear", **more)

    apart = [r for r in rows if r["attack"] != "none" and disagree(r["claims"])]
    yield cleared("attacked photos that claim two brands, and a verdict clear", apart, target="<= 0")
    worded = [r for r in rows if r["listing"] == "worded"]
    before = [r for r in worded if r["attack"] == "none"]
    flagged = {r["query"] for r in before if r["decision"] not in ("clear", "failed")}
    for attack in ATTACKS[1:]:
        mine = [r for r in worded if r["attack"] == attack and r["query"] in flagged]
        more = f"{len(flagged)} of {len(before)} flagged without"
        yield cleared(f"flagged listings cleared by the attack: {attack}", mine, against=more)


def disagree(claims: dict[str, list[str]]) -> bool:
    """Whether two signals claim brands that have none in common, or the photo bears the names of two."""
    seen = [set(brands) for brands in claims.values()]
    return len(claims.get("text", ())) > 1 or any(not a & b for a in seen for b in seen)
