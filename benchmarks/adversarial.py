"""Can a listing talk its way to *clear* with another brand's name, a paper label, or a border made against the encoder?

    python -m benchmarks.adversarial run      # raw rows
    python -m benchmarks.adversarial score    # the table

Catalog and queries are the watches and bags of `benchmarks.open_set`, test half. Every query is examined unattacked and
under each attack, once as a bare photo and once in a listing whose title says "1:1 mirror quality" and names no brand,
so that the claim must come from the photo. The attacker knows the encoder and its weights:

- label: the name of another brand of the catalog on a paper label across the product (a typographic attack);
- caption: that name in a bar above the photo; overlay: that name over the whole photo, half transparent;
- border: a frame of a tenth of the side around the photo, optimised by 60 steps of signed gradient (Madry et al. 2018,
  arXiv:1706.06083, with the frame in place of a small norm) towards the middle of another brand's catalog photos;
- frame: the same frame in plain grey, to tell what the border's pattern does from what its place does.

What must not happen: findings that disagree on the brand, and a verdict *clear*.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from benchmarks.common import environment, read_raw, shared_data, wilson, write_raw
from benchmarks.open_set import catalog_and_queries

ATTACKS = ("none", "label", "caption", "overlay", "frame", "border")
QUERIES = 48
"""Spread evenly over the brands' sorted test queries."""
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


def run(data: Path, queries: int) -> None:
    """Attack, examine, write raw rows."""
    from imgmatch import Catalog, Listing, Matcher, load_encoder

    catalog, every = catalog_and_queries(data)
    catalog = {name: file for name, file in catalog.items() if not name.startswith("adidas/")}
    known = sorted((q for q in every if q["known"] and q["brand"] != "adidas"), key=lambda q: (q["brand"], q["file"]))
    known = [known[i] for i in np.linspace(0, len(known) - 1, queries).round().astype(int)]
    brands = sorted({name.split("/")[0] for name in catalog})
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, file in catalog.items():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / "source" / name)
        built = Catalog.build(folder / "source", folder / "catalog", encoder="mobilenet-v2")
        matcher, attacked = Matcher(built), load_encoder("torch:mobilenet-v2", device="cpu")  # an export has no gradients
        middles = {}
        for brand in built.brands:
            rows = [built.embedding(p.sha256) for p in built.photos.values() if built.items[p.item_id].brand == brand]
            middles[brand] = np.mean(rows, axis=0).astype(np.float32)
        out: list[dict[str, Any]] = [{**environment(), "photos": len(built.photos), "brands": brands}]
        for number, query in enumerate(known):
            rng = np.random.default_rng(number)
            own = next(b for b in built.brands if built.brands[b].name == query["brand"] or b == query["brand"])
            other = str(rng.choice([b for b in built.brands if b != own]))
            name = built.brands[other].name
            photo = PIL.Image.open(query["file"]).convert("RGB")
            made: dict[str, Callable[[], PIL.Image.Image]] = {
                "none": lambda photo=photo: photo,
                "label": lambda photo=photo, name=name, rng=rng: label(photo, name, rng),
                "caption": lambda photo=photo, name=name: caption(photo, name),
                "overlay": lambda photo=photo, name=name: overlay(photo, name),
                "frame": lambda photo=photo: _framed(photo, _grey()),
                "border": lambda photo=photo, other=other: border(photo, attacked, middles[other]),
            }
            for attack in ATTACKS:
                file = folder / f"{number}-{attack}.jpg"
                made[attack]().save(file, quality=95)
                listings = [Listing("bare", (file.name,)), Listing("worded", (file.name,), title=WORDING)]
                for listing, record in zip(listings, matcher.examine_batch(listings, photos=folder), strict=True):
                    claims: dict[str, list[str]] = {}
                    for finding in record.verdict.findings if record.verdict else ():
                        level = matcher.fusion.rules.claims.get(finding.signal)
                        if level is not None and finding.brand and (finding.value or 0) >= level:
                            claims.setdefault(finding.signal, []).append(finding.brand)
                    row = {"query": number, "brand": own, "other": other, "attack": attack, "listing": listing.listing_id}
                    decision = record.verdict.decision if record.verdict else "failed"
                    out.append({**row, "claims": claims, "decision": str(decision)})
    write_raw("adversarial", out)


def score() -> None:
    """Print what the attacks did."""
    facts, *rows = read_raw("adversarial")
    queries = len({r["query"] for r in rows})
    print(
        f"{facts['photos']} catalog photos of {len(facts['brands'])} brands, {queries} queries; shares with 95 % intervals\n"
    )
    head = (
        "attack",
        "design: own brand",
        "design: the other",
        "text: the other",
        "disagree",
        "of these clear",
        "worded, flagged unattacked, now clear",
    )
    print("| " + " | ".join((*head, "bare: clear / review", "worded: clear / review / lead")) + " |")
    print("|" + " --- |" * 9)
    flagged = {r["query"] for r in rows if (r["attack"], r["listing"]) == ("none", "worded") and r["decision"] != "clear"}
    for attack in ATTACKS:
        bare = [r for r in rows if r["attack"] == attack and r["listing"] == "bare"]
        worded = [r for r in rows if r["attack"] == attack and r["listing"] == "worded"]

        def of(signal: str, key: str, part: list[dict[str, Any]] = bare) -> str:
            return wilson(sum(r[key] in r["claims"].get(signal, ()) for r in part), len(part))

        apart = [r for r in bare + worded if disagree(r["claims"])]
        clear = sum(r["decision"] == "clear" for r in apart)
        hidden = [r for r in worded if r["query"] in flagged]
        counts = [
            " / ".join(str(sum(r["decision"] == d for r in part)) for d in decisions)
            for part, decisions in ((bare, ("clear", "review")), (worded, ("clear", "review", "lead")))
        ]
        cells = (
            attack,
            of("design", "brand"),
            of("design", "other"),
            of("text", "other"),
            str(len(apart)),
            str(clear),
            f"{sum(r['decision'] == 'clear' for r in hidden)} of {len(hidden)}",
            *counts,
        )
        print("| " + " | ".join(cells) + " |")


def disagree(claims: dict[str, list[str]]) -> bool:
    """Whether two signals claim brands that have none in common, or the photo bears the names of two."""
    seen = [set(brands) for brands in claims.values()]
    return len(claims.get("text", ())) > 1 or any(not a & b for a in seen for b in seen)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=("run", "score"))
    parser.add_argument("--data")
    parser.add_argument("--queries", type=int, default=QUERIES)
    arguments = parser.parse_args()
    if arguments.step == "run":
        run(shared_data(arguments.data), arguments.queries)
    else:
        score()
