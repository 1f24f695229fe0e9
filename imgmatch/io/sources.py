"""Where listings come from: a folder of photos or a table, and the posts that lead to them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from imgmatch.cells import as_id, clean
from imgmatch.errors import InputError
from imgmatch.io.folders import FileFinder, Skipped, is_photo, photos_in, visible
from imgmatch.io.tables import Layout, listing_input, normal, read_table
from imgmatch.records import Listing

__all__ = ["Listings", "Posts", "Row", "listing_root", "read_listings", "read_posts", "with_known"]

_LISTS = frozenset({"photos", "promo_photos", "contacts"})
_FIELDS = tuple(f.name for f in fields(Listing) if f.name != "extra")
_POST_FIELDS = ("link", "photos", "text", "post_id", "account", "posted_at")
_TEXTS = frozenset(_FIELDS) - _LISTS - {"listing_id"}

Row = tuple[Listing, str | None]
"""A listing, and what is wrong with its row where it cannot be examined: a Message."""


def listing_root(path: Path) -> Path:
    """Return the folder that the photo paths of a source are relative to."""
    return path if path.is_dir() else path.parent


class Listings:
    """The listings of a source, in its order; may be read more than once.

    Iterating gives ``(listing, problem)``: why the row cannot be examined, or None; such a listing has only an id, its own
    or the row's place. It raises InputError where the source cannot be read on; rows before were given.

    Parameters
    ----------
    path : Path
        A folder, in which each photo is a listing and each subfolder one listing of several photos; or a table with the
        columns of :class:`imgmatch.records.Listing`, ``-`` for standard input (``docs/listings.md``).
    layout : Layout, optional
        Where the fields come from in somebody else's table.

    Attributes
    ----------
    how : str
        How it is read, in words.
    """

    def __init__(self, path: Path, layout: Layout | None = None) -> None:
        self.path = path
        self.layout = layout
        self.how = "a folder"
        self._passed = Skipped()
        self._unmapped: list[str] = []
        if not path.is_dir() and not listing_input(path).is_file():
            raise InputError(
                "no such listings: expected a folder of photos, or a table (docs/listings.md)", source=str(path)
            )

    def __iter__(self) -> Iterator[Row]:
        return self._folder() if self.path.is_dir() else self._table()

    def notes(self) -> list[str]:
        """Return what a user should know of how the source was read."""
        notes = self._passed.notes()
        if "guessed" in self.how:
            notes.append(f"read as {self.how}")
        if self._unmapped:
            notes.append(f"columns kept but not used: {', '.join(self._unmapped[:30])}")
        return notes

    def _folder(self) -> Iterator[Row]:
        self._passed = Skipped()
        entries = visible(self.path, self._passed)
        names = {entry.name for entry in entries}
        for entry in entries:
            path = Path(entry.path)
            if entry.is_dir():
                photos = [p.relative_to(self.path).as_posix() for p in photos_in(path, self._passed)]
                if photos:
                    yield Listing(clean(entry.name), tuple(photos)), None
            elif is_photo(entry, names, self._passed):
                yield Listing(clean(entry.name), (entry.name,)), None

    def _table(self) -> Iterator[Row]:
        table = read_table(self.path, known=_FIELDS, lists=_LISTS, layout=self.layout)
        self.how = table.how
        if self.layout is None and table.columns and "listing_id" not in map(normal, table.columns):
            preset = Layout.suggest(table.columns)
            self.how += f"; no column is listing_id, {f'try --preset {preset}' if preset else 'name it: --map listing_id=…'}"
        files = FileFinder(listing_root(self.path))
        for place, row in table:
            if isinstance(row, InputError):
                yield Listing(place), row.said
                continue
            try:
                listing = Listing.from_dict(row)
            except InputError as error:
                yield Listing(_id_of(row) or place), InputError(error.said, source=place).said
                continue
            found = {name: tuple(map(files.find, getattr(listing, name))) for name in ("photos", "promo_photos")}
            yield replace(listing, **found), None  # type: ignore[arg-type]
        self._unmapped = table.unmapped


def read_listings(path: Path, layout: Layout | None = None) -> Listings:
    """Open a source of listings; see :class:`Listings`.

    Raises
    ------
    InputError
        Where there is no such source.
    """
    return Listings(path, layout)


def with_known(row: Row, known: Mapping[str, str]) -> Row:
    """Return a listing with what is known of all listings of its source, where its own row does not say otherwise.

    Raises
    ------
    InputError
        For a name that is no text field of a listing.
    """
    unknown = sorted(set(known) - _TEXTS)
    if unknown:
        raise InputError(f"{unknown[0]!r:.60} is not known of listings; expected one of {', '.join(sorted(_TEXTS))}")
    listing, problem = row
    missing: dict[str, Any] = {name: value for name, value in known.items() if not getattr(listing, name)}
    return (replace(listing, **missing), problem) if missing else row


def _id_of(row: Mapping[str, Any]) -> str | None:
    try:
        return as_id("listing_id", row.get("listing_id"))
    except InputError:
        return None


@dataclass(slots=True)
class Posts:
    """Posts, stories and chats that lead to listings.

    Parameters
    ----------
    by_link : dict of str to list of dict
        Posts by where they lead: a listing's id, or its address as :func:`_address` writes it.
    problems : list of str
        What is wrong with the rows that could not be used.
    unused : set of str
        Links that no listing has answered to so far.
    """

    by_link: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    unused: set[str] = field(default_factory=set)

    def attach(self, row: Row) -> Row:
        """Return a listing with the promo photos and words of the posts that lead to it, in the order of the posts."""
        listing, problem = row
        links = [listing.listing_id, *([_address(listing.url)] if listing.url else [])]
        posts = [post for link in dict.fromkeys(links) for post in self.by_link.get(link, ())]
        self.unused.difference_update(links)
        if problem is not None or not posts:
            return row
        photos = dict.fromkeys((*listing.promo_photos, *(p for post in posts for p in post["photos"])))
        words = dict.fromkeys(t for t in (listing.promo_text, *(post["text"] for post in posts)) if t)
        origins = [{k: post[k] for k in ("post_id", "account", "posted_at") if post[k]} for post in posts]
        extra = {**listing.extra, "posts": [origin for origin in origins if origin]}
        return replace(listing, promo_photos=tuple(photos), promo_text="\n".join(words) or None, extra=extra), None


def read_posts(path: Path, root: Path) -> Posts:
    """Read a table of posts.

    Parameters
    ----------
    path : Path
        CSV / JSONL / Parquet with ``link`` (a listing's id or url) and ``photos`` or ``text``, optionally ``post_id``,
        ``account`` and ``posted_at`` (``docs/listings.md``). Photo paths are relative to this table.
    root : Path
        Folder of the listings; the posts' photos must lie in it, where reports look for photos.

    Raises
    ------
    InputError
        Where the table as a whole cannot be read.
    """
    posts = Posts()
    files = FileFinder(path.parent)
    for place, row in read_table(path, known=_POST_FIELDS, lists=frozenset({"photos"})):
        try:
            if isinstance(row, InputError):
                raise row
            # A post is a listing's promo side: the same checks of types and letters.
            given = Listing.from_dict(
                {"listing_id": row.get("link"), "photos": row.get("photos"), "promo_text": row.get("text")}
            )
            origin = Listing.from_dict(
                {"listing_id": "post", "title": row.get("post_id"), "seller_id": row.get("account"),
                 "listed_at": row.get("posted_at")}
            )  # fmt: skip
            if not given.photos and not given.promo_text:
                raise InputError("the post has neither photos nor text")
            photos = [Path(os.path.relpath(path.parent / files.find(photo), root)).as_posix() for photo in given.photos]
            outside = next((p for p in photos if p.startswith("..")), None)
            if outside is not None:
                raise InputError(f"photos: {outside!r:.80} lies outside {root}, the folder of the listings")
        except InputError as error:
            posts.problems.append(f"{place}: {str(error).replace('listing_id', 'link')}")
            continue
        link = _address(given.listing_id) if "/" in given.listing_id else given.listing_id
        post = {"photos": photos, "text": given.promo_text, "post_id": origin.title, "account": origin.seller_id}
        posts.by_link.setdefault(link, []).append({**post, "posted_at": origin.listed_at})
        posts.unused.add(link)
    return posts


def _address(url: str) -> str:
    """Return a web address without what does not change where it leads: scheme, www, fragment, tracking parameters."""
    try:
        parts = urlsplit(url.strip() if "//" in url else f"//{url.strip()}")
    except ValueError:
        return url
    kept = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if not k.lower().startswith("utm_")]
    query = f"?{urlencode(kept)}" if kept else ""
    return f"{parts.netloc.lower().removeprefix('www.')}{parts.path.rstrip('/')}{query}"
