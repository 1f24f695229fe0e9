"""Posts that lead to listings: which listing, which photos, what cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imgmatch.io.sources import read_posts
from imgmatch.records import Listing


def table(path: Path, *rows: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8")
    return path


def test_posts_go_to_their_listings(tmp_path: Path) -> None:
    posts = read_posts(
        table(
            tmp_path / "social" / "posts.jsonl",
            {"link": "L1", "photos": ["a.jpg"], "text": "order this", "post_id": "p1", "account": "star"},
            {"link": "https://www.Shop.example/item/7/?utm_source=x#top", "photos": ["b.jpg", "a.jpg"]},
            {"link": "L1", "photos": [], "text": "get this"},
            {"link": "L9", "text": "nothing there"},
        ),
        tmp_path,
    )
    first, problem = posts.attach((Listing("L1", promo_photos=("own.jpg",), url="http://shop.example/item/7"), None))
    assert problem is None
    assert first.promo_photos == ("own.jpg", "social/a.jpg", "social/b.jpg")
    assert first.promo_text == "order this\nget this"
    assert first.extra["posts"] == [{"post_id": "p1", "account": "star"}]
    untouched = (Listing("L2"), None)
    assert posts.attach(untouched) is untouched
    assert (posts.unused, posts.problems) == ({"L9"}, [])


BAD = [
    ({"photos": ["a.jpg"]}, "link: missing or empty"),
    ({"link": "L1"}, "neither photos nor text"),
    ({"link": "L1", "photos": ["../../secret.jpg"]}, "lies outside"),
    ({"link": "L1", "photos": 7}, "photos: expected a list"),
    ("{", "not valid JSON"),
]


@pytest.mark.parametrize(("row", "problem"), BAD, ids=[b[1] for b in BAD])
def test_a_bad_post_fails_its_own_row(tmp_path: Path, row: object, problem: str) -> None:
    posts = read_posts(table(tmp_path / "posts.jsonl", row, {"link": "L1", "text": "kept"}), tmp_path)
    assert posts.attach((Listing("L1"), None))[0].promo_text == "kept"
    (said,) = posts.problems
    assert problem in said
    assert "posts.jsonl:1" in said
