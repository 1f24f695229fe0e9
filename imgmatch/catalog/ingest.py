"""Changing a catalog: read and embed in a stream, check everything, then commit by replacing the manifest."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from imgmatch.catalog import reading
from imgmatch.catalog.items import Brand, CatalogPhoto, Item, LogoReference, brand_ids, to_row
from imgmatch.catalog.manifest import Manifest, Segment, SpaceParts, photo_path
from imgmatch.catalog.parts import SegmentWriter, refuse_links, store_photo, sweep, write_rows
from imgmatch.catalog.segments import batches, checked_index, compacted, copied, grown, indexed
from imgmatch.catalog.source import Issue, SourcePhoto, read_source
from imgmatch.encoders.base import Encoder, Prepared
from imgmatch.errors import CatalogError, ImageError
from imgmatch.images import load_image, perceptual_hash, read_file
from imgmatch.io.files import lock
from imgmatch.names import name_key
from imgmatch.parallel import ordered_map, worker_count
from imgmatch.types import PhotoRole
from imgmatch.vision.marks import make_reference
from imgmatch.vision.marks.drawings import draw_svg, on_ground

__all__ = ["add", "build", "embed", "merge", "remove"]

Progress = Callable[[int, int], None]

_BATCH = 32
# What lies at the top of a catalog's folder beside the manifest: parts, folders of parts, locks and files being written.
_PART = re.compile(r"(items|brands|photos|issues)-[0-9a-f]{16}\.jsonl|photos|vectors|\..*")


@dataclass(slots=True)
class _State:
    """The rows of a catalog while it is being changed."""

    items: dict[str, Item] = field(default_factory=dict)
    brands: dict[str, Brand] = field(default_factory=dict)
    photos: dict[str, CatalogPhoto] = field(default_factory=dict)
    issues: list[Issue] = field(default_factory=list)
    spaces: dict[str, SpaceParts] = field(default_factory=dict)

    @classmethod
    def of(cls, root: Path, manifest: Manifest) -> _State:
        tables = reading.read_tables(root, manifest)
        issues = reading.read_issues(root, manifest)
        return cls(tables.items, tables.brands, tables.photos, issues, dict(manifest.spaces))

    def check(self) -> None:
        """Refuse a catalog with an item that kept no photo."""
        empty = [i.item_id for i in self.items.values() if not i.photos]
        if empty:
            problems = "; ".join(f"{x.place}: {x.problem}" for x in self.issues[-5:])  # an older catalog's come first
            raise CatalogError(
                f"no photo is left for {len(empty)} item(s): {', '.join(empty[:10])}. Nothing was changed. "
                f"Repair or leave out these items. The last problems: {problems or 'none'}"
            )

    def commit(self, root: Path, active: str) -> None:
        """Check that every item kept a photo, write the parts, replace the manifest, sweep."""
        self.check()
        roles = {str(role): 0 for role in PhotoRole}
        for photo in self.photos.values():
            roles[str(photo.role)] += 1
        manifest = Manifest(
            items=write_rows(root, "items", map(to_row, self.items.values())),
            brands=write_rows(root, "brands", map(to_row, self.brands.values())),
            photos=write_rows(root, "photos", map(to_row, self.photos.values())),
            issues=write_rows(root, "issues", ({"place": x.place, "problem": x.problem} for x in self.issues)),
            spaces=self.spaces,
            active=active,
            counts={"items": len(self.items), "brands": len(self.brands), "photos": len(self.photos), **roles},
        )
        before = _files_of(root)
        manifest.save(root)
        sweep(root, manifest, self.photos, before)


@dataclass(frozen=True, slots=True)
class _Read:
    photo: SourcePhoto
    data: bytes
    entry: CatalogPhoto
    prepared: Prepared


@contextmanager
def _writing(root: Path) -> Iterator[None]:
    """Be the one writer; a full or read-only disk is reported as what it means for the catalog."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with lock(root):
            refuse_links(root)
            yield
    except OSError as error:
        where = error.filename or root
        raise CatalogError(
            f"{where}: {error.strerror or error}; the catalog was left whole; put this right and run the same command again"
        ) from error


def build(source_path: Path, root: Path, encoder: Encoder, factory: str | None, progress: Progress | None) -> None:
    if root.is_file():
        raise CatalogError(f"{root}: is a file; a catalog is a folder")
    if factory not in (None, "lancedb"):
        checked_index(encoder.space.dim, factory)  # a wrong one is refused before the photos are read
    source = read_source(source_path)
    with _writing(root):
        if any(p.name not in {".lock"} for p in root.iterdir()) and not _holds_catalog(root):
            raise CatalogError(f"{root}: holds other files; choose an empty or new folder")
        state = _State(items=source.items, brands=source.brands, issues=source.issues)
        segment = _ingest(state, root, source.photos, encoder, set(), progress)
        segments = (segment,) if segment else ()
        state.spaces[encoder.space.id] = indexed(root, encoder.space, segments, factory)
        state.commit(root, encoder.space.id)


def add(source_path: Path, root: Path, encoder: Encoder, progress: Progress | None, *, dry_run: bool = False) -> list[str]:
    """Add a source to a catalog, known items updated; return what changes, a line each.

    With `dry_run` nothing is changed, and what would be left out is listed too; what would be refused is refused.
    """
    with _writing(root):
        manifest = Manifest.load(root)
        manifest.spaces[manifest.active].space.require(encoder.space)
        state = _State.of(root, manifest)
        source = read_source(source_path, known=state.brands.values())
        changes: list[str] = []
        for item in source.items.values():
            known = state.items.get(item.item_id)
            if known is not None and known.brand != item.brand:
                raise CatalogError(f"item {item.item_id} is of {known.brand} in the catalog, of {item.brand} in the source")
            state.items[item.item_id] = item if known is None else _updated(known, item)
            changes += _changes(f"item {item.item_id}", known, state.items[item.item_id])
        for brand in source.brands.values():
            mine = state.brands.get(brand.brand)
            state.brands[brand.brand] = _united(mine, brand)
            changes += _changes(f"brand {brand.brand}", mine, state.brands[brand.brand])
        before = len(state.issues)
        state.issues += source.issues
        if dry_run:
            all(True for _ in _taken(state, source.photos, encoder))
            state.check()
            return changes + [f"left out: {issue.place}: {issue.problem}" for issue in state.issues[before:]]
        vectors = {sha for s in state.spaces[encoder.space.id].segments for sha in reading.read_names(root, s)}
        segment = _ingest(state, root, source.photos, encoder, vectors, progress)
        if segment:
            state.spaces[encoder.space.id] = grown(root, state.spaces[encoder.space.id], segment)
        # Another space does not know the new photos; it must be embedded again before it can be active.
        state.spaces = {encoder.space.id: compacted(root, state.spaces[encoder.space.id], state.photos)}
        state.commit(root, encoder.space.id)
        return changes


def _updated(known: Item, new: Item) -> Item:
    """Return a known item with whatever the source says of it; what the source leaves open stays."""
    said = {f.name: getattr(new, f.name) for f in fields(Item) if f.name not in ("photos", "condition_prices", "extra")}
    return replace(
        known,
        **{name: value for name, value in said.items() if value is not None},
        condition_prices={**known.condition_prices, **new.condition_prices},
        extra={**known.extra, **new.extra},
    )


def _changes(what: str, before: Item | Brand | None, after: Item | Brand) -> list[str]:
    """Return what is new about an item or brand, a line a field: ``item tote: price 1200 → 1250``."""
    if before is None:
        return [f"{what}: new"]
    old, new = to_row(before), to_row(after)
    return [f"{what}: {name} {old.get(name, 'unknown')} → {new[name]}" for name in new if new[name] != old.get(name)]


def remove(root: Path, item_ids: Sequence[str]) -> None:
    with _writing(root):
        manifest = Manifest.load(root)
        state = _State.of(root, manifest)
        missing = [i for i in item_ids if i not in state.items]
        if missing:
            raise CatalogError(f"no such item: {', '.join(missing[:10])}. Nothing was removed")
        gone = [sha for item_id in dict.fromkeys(item_ids) for sha in state.items.pop(item_id).photos]
        left = {sha: item.item_id for item in reversed(state.items.values()) for sha in item.photos}
        boxed = {logo.photo for brand in state.brands.values() for logo in brand.logos}
        for sha in gone:
            if sha in left:
                state.photos[sha] = replace(state.photos[sha], item_id=left[sha])
            elif sha in boxed:
                state.photos[sha] = replace(state.photos[sha], role=PhotoRole.LOGO, item_id=None)
            else:
                state.photos.pop(sha, None)
        if not state.items:
            raise CatalogError("that would remove every item. Nothing was removed")
        brands = {i.brand for i in state.items.values()}
        logos = {p.brand for p in state.photos.values() if p.role is PhotoRole.LOGO}
        state.brands = {k: b for k, b in state.brands.items() if k in brands | logos}
        state.spaces = {key: compacted(root, state.spaces[key], state.photos) for key in state.spaces}
        state.commit(root, manifest.active)


def merge(root: Path, other: Path) -> None:
    if root.resolve() == other.resolve():
        raise CatalogError(f"{root}: cannot be merged with itself")
    with _writing(root), _writing(other):
        manifest, theirs = Manifest.load(root), Manifest.load(other)
        key = manifest.active
        manifest.spaces[key].space.require(
            theirs.spaces[theirs.active].space, hint="embed one of them with the other's encoder"
        )
        state = _State.of(root, manifest)
        other_state = _renamed(_State.of(other, theirs), brand_ids(state.brands.values()))
        for item in other_state.items.values():
            mine = state.items.setdefault(item.item_id, replace(item, photos=()))
            if mine.brand != item.brand:
                raise CatalogError(f"item {item.item_id} is of {mine.brand} here and of {item.brand} in {other}")
        for brand in other_state.brands.values():
            state.brands[brand.brand] = _united(state.brands.get(brand.brand), brand)
        state.issues += other_state.issues
        known = {sha for s in state.spaces[key].segments for sha in reading.read_names(root, s)}
        for sha, photo in other_state.photos.items():
            if sha not in state.photos:
                store_photo(root, sha, reading.read_photo(other, sha))
                state.photos[sha] = photo
        for item in other_state.items.values():
            for sha in item.photos:
                _share(state, replace(other_state.photos[sha], item_id=item.item_id))
        segments = theirs.spaces[theirs.active].segments
        vectors = reading.open_vectors(other, segments, theirs.spaces[theirs.active].space.dim)
        reading.check_vectors(other, segments, vectors)
        names = [sha for s in segments for sha in reading.read_names(other, s)]
        rows = [row for row, sha in enumerate(names) if sha in state.photos and sha not in known]
        segment = copied(root, key, vectors, names, rows)
        if segment:
            state.spaces[key] = grown(root, state.spaces[key], segment)
        state.spaces = {key: compacted(root, state.spaces[key], state.photos)}
        state.commit(root, key)


def embed(root: Path, encoder: Encoder, progress: Progress | None) -> None:
    with _writing(root):
        manifest = Manifest.load(root)
        state = _State.of(root, manifest)
        key = encoder.space.id
        if key not in state.spaces:
            names = list(state.photos.values())

            def prepared(p: CatalogPhoto) -> Prepared:
                return encoder.prepare(reading.load_photo(root, p.sha256, target_side=2 * encoder.input_size))

            writer = SegmentWriter(root, key)
            try:
                read = ordered_map(prepared, names, workers=worker_count(0), ahead=2 * _BATCH)
                done = 0
                for batch in batches(zip(names, read, strict=True), _BATCH):
                    writer.append(encoder.encode([x for _, x in batch]), [p.sha256 for p, _ in batch])
                    done += len(batch)
                    if progress:
                        progress(done, len(names))
                segment = writer.finish()
            except BaseException:
                writer.discard()
                raise
            state.spaces[key] = indexed(root, encoder.space, (segment,) if segment else (), None)
        state.commit(root, key)


def _ingest(
    state: _State, root: Path, photos: Sequence[SourcePhoto], encoder: Encoder, known: set[str], progress: Progress | None
) -> Segment | None:
    """Read photos, take them into `state`, and embed those not in `known` (sha256) into a new segment."""
    writer = SegmentWriter(root, encoder.space.id)
    try:
        waiting: list[tuple[str, Prepared]] = []
        for done, read in enumerate(_taken(state, photos, encoder), 1):
            if read is not None:
                store_photo(root, read.entry.sha256, read.data)
                if read.entry.sha256 not in known:
                    known.add(read.entry.sha256)
                    waiting.append((read.entry.sha256, read.prepared))
            if len(waiting) >= _BATCH or (waiting and done == len(photos)):
                writer.append(encoder.encode([x for _, x in waiting]), [sha for sha, _ in waiting])
                waiting = []
            if progress:
                progress(done, len(photos))
        return writer.finish()
    except BaseException:
        writer.discard()
        raise


def _taken(state: _State, photos: Sequence[SourcePhoto], encoder: Encoder) -> Iterator[_Read | None]:
    """Read photos and take them, or what is wrong with them, into `state`; yield each, None where it is left out."""
    for read in ordered_map(lambda p: _read(p, encoder), photos, workers=worker_count(0), ahead=2 * _BATCH):
        issue = read if isinstance(read, Issue) else _take(state, read)
        state.issues += [issue] if issue else []
        yield read if isinstance(read, _Read) and issue is None else None


def _read(photo: SourcePhoto, encoder: Encoder) -> _Read | Issue:
    try:
        data = read_file(photo.path, name=photo.name)
        if photo.role is PhotoRole.LOGO and photo.path.suffix.lower() == ".svg":
            # Drawn once, here: whoever reads the catalog needs no SVG library.
            data, scale = draw_svg(data, source=photo.name)
            if photo.logo_box is not None:
                x0, y0, x1, y1 = photo.logo_box
                photo = replace(photo, logo_box=(x0 * scale, y0 * scale, x1 * scale, y1 * scale))
        if photo.role is PhotoRole.LOGO:
            data = on_ground(data, source=photo.name)
            make_reference("", "", photo.logo_kind, load_image(data, name=photo.name), photo.logo_box)
        image = load_image(data, target_side=2 * encoder.input_size, name=photo.name)
        phash, quality = perceptual_hash(image)
        prepared = encoder.prepare(image)
    except ImageError as error:
        return Issue(photo.name, str(error).removeprefix(f"{error.source}: "))
    except ValueError as error:  # a picture without a mark
        return Issue(photo.name, f"left out: {error}")
    except MemoryError:
        return Issue(photo.name, "not enough memory to read it")
    seen: dict[str, Any] = {"width": image.width, "height": image.height, "phash_quality": quality}
    entry = CatalogPhoto(
        image.sha256, photo.role, item_id=photo.item_id, brand=photo.brand, name=photo.name, phash=phash, **seen
    )
    return _Read(photo, data, entry, prepared)


def _take(state: _State, read: _Read) -> Issue | None:
    """Enter a photo; return what is wrong with it where it cannot be entered."""
    entry = read.entry
    if entry.role is PhotoRole.LOGO and entry.brand is not None:
        brand = state.brands.get(entry.brand, Brand(entry.brand, entry.brand))
        logo = LogoReference(entry.sha256, read.photo.logo_kind, read.photo.logo_box)
        state.brands[entry.brand] = replace(brand, logos=tuple(dict.fromkeys((*brand.logos, logo))))
    known = state.photos.setdefault(entry.sha256, entry)
    # A mark may be boxed in an item's photo, or beside another brand's: whichever is read first, the photo is its item's.
    if entry.role is PhotoRole.LOGO and (known.role is not PhotoRole.LOGO or read.photo.logo_box is not None):
        return None
    if known.role is PhotoRole.LOGO and entry.role is not PhotoRole.LOGO:
        state.photos[entry.sha256] = entry
    elif (known.role, known.brand) != (entry.role, entry.brand):
        there = f"left out: the same photo is there already as {known.name} ({known.role} of {known.brand or 'no brand'})"
        both = f"this picture is also a mark of {known.brand}; it cannot tell the two brands apart"
        return Issue(read.photo.name, both if entry.role is PhotoRole.LOGO else there)
    _share(state, entry)
    return None


def _share(state: _State, entry: CatalogPhoto) -> None:
    """Let an item own a photo, which variants of one product may share; the first is the one that it is found by."""
    known = state.photos[entry.sha256]
    if entry.item_id is None or (known.role, known.brand) != (entry.role, entry.brand):
        return
    item = state.items[entry.item_id]
    if entry.sha256 not in item.photos:
        state.items[entry.item_id] = replace(item, photos=(*item.photos, entry.sha256))


def _renamed(state: _State, ids: Mapping[str, str]) -> _State:
    """Give brands that another catalog knows, under whatever spelling, the ids that they have there."""
    new = {b.brand: ids.get(name_key(b.brand)) or ids.get(name_key(b.name)) or b.brand for b in state.brands.values()}
    brands: dict[str, Brand] = {}
    for brand in state.brands.values():
        brand = replace(brand, brand=new[brand.brand])
        brands[brand.brand] = _united(brands.get(brand.brand), brand)
    items = {i.item_id: replace(i, brand=new.get(i.brand, i.brand)) for i in state.items.values()}
    photos = {p.sha256: replace(p, brand=new.get(p.brand or "", p.brand)) for p in state.photos.values()}
    return replace(state, items=items, brands=brands, photos=photos)


def _united(mine: Brand | None, theirs: Brand) -> Brand:
    if mine is None:
        return theirs
    return replace(
        mine,
        name=theirs.name if name_key(theirs.name) != name_key(theirs.brand) else mine.name or theirs.name,
        wordmarks=tuple(dict.fromkeys(mine.wordmarks + theirs.wordmarks)),
        aliases=tuple(dict.fromkeys(mine.aliases + theirs.aliases)),
        logos=tuple(dict.fromkeys(mine.logos + theirs.logos)),
        official_domains=tuple(dict.fromkeys(mine.official_domains + theirs.official_domains)),
        authorised_sellers=tuple(dict.fromkeys(mine.authorised_sellers + theirs.authorised_sellers)),
        extra={**theirs.extra, **mine.extra},
    )


def _files_of(root: Path) -> set[Path]:
    """Return what the catalog that is about to be replaced consists of: whoever has it open may go on with all of it."""
    try:
        old = Manifest.load(root)
        photos = reading.read_tables(root, old).photos
    except (CatalogError, OSError):
        return set()  # the first one, or a broken one
    return {root / part.path for part in old.parts()} | {photo_path(root, sha) for sha in photos}


def _holds_catalog(root: Path) -> bool:
    # A killed first build leaves parts but no manifest; it may be built again in place.
    return (root / "manifest.json").exists() or all(_PART.fullmatch(p.name) for p in root.iterdir())
