"""The catalog as everybody sees it: a frozen snapshot of the authentic reference, on disk and searchable."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from imgmatch.catalog import ingest, reading
from imgmatch.catalog.items import Brand, CatalogPhoto, Item
from imgmatch.catalog.kept import KeptPhotos
from imgmatch.catalog.likeness import Likeness
from imgmatch.catalog.manifest import Manifest
from imgmatch.catalog.memory import write_source
from imgmatch.catalog.parts import copy_catalog
from imgmatch.catalog.search import Search
from imgmatch.catalog.source import Issue
from imgmatch.encoders import load_encoder
from imgmatch.encoders.base import Encoder, Prepared
from imgmatch.errors import CatalogCorruptError, CatalogError
from imgmatch.images import ImageSource, load_image
from imgmatch.loading.photo import PIXEL_SIDE, PhotoContext
from imgmatch.types import Candidate, Embeddings, EmbeddingSpace, FloatArray, Neighbors, PhotoRole

__all__ = ["Catalog"]

# Vectors up to this size are compared with their checksums at load; above, `verify` does it (reading 1 GB takes seconds).
_CHECK_AT_LOAD = 1 << 30

Progress = Callable[[int, int], None]
Rows = Iterable[Mapping[str, Any]]


class Catalog:
    """A frozen view of a catalog folder.

    Make one with :meth:`load` or :meth:`build`. Methods that change a catalog commit to disk and return the new view; the
    old one goes on answering what it answered, with the pixels of its photos, until the change after that.

    Parameters
    ----------
    path : Path
    manifest : Manifest
    encoder : Encoder, optional
        Already loaded; must produce the active space. Loaded by name when first needed otherwise.

    Attributes
    ----------
    version : str
        Changes with anything that a scan can see.
    space : EmbeddingSpace
    items, brands, photos : mapping
        By item id, brand id and sha256.
    photo_ids : list of str
        sha256 of the photo of each row of `vectors`; rows of removed photos are not in `photos`.
    vectors : ndarray, shape (n, d), float32
        Unit norm; memory-mapped where they are one segment.

    Notes
    -----
    Searching is thread-safe.
    """

    def __init__(self, path: Path, manifest: Manifest, encoder: Encoder | None = None, device: str | None = None) -> None:
        self.path = path
        self.device = device
        self.manifest = manifest
        self.version = manifest.version
        parts = manifest.spaces[manifest.active]
        self.space: EmbeddingSpace = parts.space
        tables = reading.read_tables(path, manifest)
        self.items: Mapping[str, Item] = tables.items
        self.brands: Mapping[str, Brand] = tables.brands
        self.photos: Mapping[str, CatalogPhoto] = tables.photos
        self.photo_ids: Sequence[str] = [sha for s in parts.segments for sha in reading.read_names(path, s)]
        self.vectors: FloatArray = reading.open_vectors(path, parts.segments, self.space.dim)
        if sum(s.vectors.bytes for s in parts.segments) <= _CHECK_AT_LOAD:
            reading.check_vectors(path, parts.segments, self.vectors)
        self._encoder = encoder
        self._folder: TemporaryDirectory[str] | None = None  # of a catalog in memory: kept as long as a view of it is
        self._lock = threading.RLock()
        self._kept = KeptPhotos()
        if encoder is not None:
            self.space.require(encoder.space, hint="load the catalog without an encoder and it loads its own")

    # Making one

    @classmethod
    def load(
        cls, path: str | Path, *, space: str | None = None, encoder: Encoder | None = None, device: str | None = None
    ) -> Catalog:
        """Open a catalog folder.

        Parameters
        ----------
        path : path
        space : str, optional
            Id of the space to use instead of the active one.
        encoder : Encoder, optional
        device : str, optional
            Where the encoder runs that is loaded by name, see :func:`imgmatch.encoders.load_encoder`.

        Raises
        ------
        CatalogError
            Where there is no catalog; its kinds CatalogCorruptError and CatalogVersionError where it cannot be used.
        """
        path = Path(path)
        for _ in range(3):
            manifest = Manifest.load(path)
            try:
                return cls(path, manifest if space is None else manifest.with_active(space), encoder, device)
            except CatalogCorruptError:
                # A writer may have committed, and swept the old parts, since we read the manifest.
                if Manifest.load(path).version == manifest.version:
                    raise
        raise CatalogError(f"{path}: changes faster than it can be read; try again")

    @classmethod
    def build(
        cls,
        source: str | Path,
        out: str | Path,
        *,
        encoder: str | Encoder = "clip-vit-b32",
        device: str | None = None,
        factory: str | None = None,
        progress: Progress | None = None,
    ) -> Catalog:
        """Index the authentic photos of a source; a catalog already at `out` is replaced at the very end.

        Parameters
        ----------
        source : path
            A folder ``brand/item/photo.jpg`` or a manifest table, see docs/catalog.md.
        out : path
        encoder : str or Encoder
        device : str, optional
            Where an encoder runs that is given by name.
        factory : str, optional
            FAISS factory string, see :func:`imgmatch.indexes.faiss.default_factory`; or ``lancedb``, see
            :class:`imgmatch.indexes.lance.LanceIndex`.
        progress : callable, optional
            Called with (photos done, photos in all).

        Raises
        ------
        InputError
            Where the source cannot be used as a whole.
        CatalogError
            Where an item is left without a photo.
        """
        model = load_encoder(encoder, device=device) if isinstance(encoder, str) else encoder
        ingest.build(Path(source), Path(out), model, factory, progress)
        return cls.load(out, encoder=model)

    @classmethod
    def from_items(cls, items: Rows, *, brands: Rows = (), encoder: str | Encoder = "clip-vit-b32") -> Catalog:
        """Index items that are in memory; the catalog lives in a temporary folder that goes when it is no longer used.

        Parameters
        ----------
        items : iterable of mapping
            Each with ``item_id``, ``brand`` and ``photos`` (a list of paths, bytes, PIL images or uint8 arrays), and any
            other column of a manifest, see docs/catalog.md.
        brands : iterable of mapping
            Rows of ``brands.jsonl``; logos are pictures too: ``{"brand": "acme", "logos": [{"photo": image}]}``.
        encoder : str or Encoder

        Raises
        ------
        InputError
            Where a row is not understood.
        CatalogError
            Where an item is left without a readable photo.

        Examples
        --------
        >>> catalog = Catalog.from_items(
        ...     [{"item_id": "tote-1", "brand": "acme", "photos": ["tote.jpg"]}], encoder="mobilenet-v2"
        ... )  # doctest: +SKIP
        """
        folder = TemporaryDirectory(prefix="imgmatch-catalog-")
        root = Path(folder.name)
        (root / "source").mkdir()
        catalog = cls.build(write_source(items, brands, root / "source"), root / "catalog", encoder=encoder)
        catalog._folder = folder
        return catalog

    def __repr__(self) -> str:
        return (
            f"Catalog({str(self.path)!r}, {len(self.items)} items of {len({i.brand for i in self.items.values()})} brands, "
            f"{len(self.photos)} photos, {self.space.encoder})"
        )

    def add(self, source: str | Path, *, progress: Progress | None = None) -> Catalog:
        """Add the items and photos of a source; known items gain photos and whatever else the source says of them.

        What a source leaves open stays as it is; :meth:`preview` says what would change.
        """
        ingest.add(Path(source), self.path, self.encoder, progress)
        return self._reload(self._encoder, self.space.id)

    def preview(self, source: str | Path) -> list[str]:
        """Return what `add` would change, a line each, such as ``item tote: price 1200.0 → 1250.0``, or leave out."""
        return ingest.add(Path(source), self.path, self.encoder, None, dry_run=True)

    def remove(self, item_ids: Iterable[str]) -> Catalog:
        """Remove items with their photos.

        Raises
        ------
        CatalogError
            Where one of them is not there; nothing is removed then.
        """
        ingest.remove(self.path, list(item_ids))
        return self._reload(self._encoder, self.space.id)

    def merge(self, other: Catalog) -> Catalog:
        """Take in all of another catalog; searches then like one built of both sources.

        Raises
        ------
        SpaceMismatchError
            Where the other's active space is another.
        """
        ingest.merge(self.path, other.path)
        return self._reload(self._encoder, self.space.id)

    def embed(self, encoder: str | Encoder, *, progress: Progress | None = None) -> Catalog:
        """Embed the stored photos with another encoder as well, and make its space the active one."""
        model = load_encoder(encoder) if isinstance(encoder, str) else encoder
        ingest.embed(self.path, model, progress)
        return self._reload(model, None)

    def save(self, out: str | Path) -> Catalog:
        """Copy the catalog to another folder, which must not exist.

        Raises
        ------
        CatalogError
            Where `out` exists.
        """
        out = Path(out)
        if out.exists():
            raise CatalogError(f"{out}: exists already")
        copy_catalog(self.path, self.manifest, out)
        return Catalog.load(out, encoder=self._encoder)

    def _reload(self, encoder: Encoder | None, space: str | None) -> Catalog:
        catalog = Catalog.load(self.path, space=space, encoder=encoder)
        catalog._folder = self._folder
        return catalog

    # Looking at it

    @property
    def encoder(self) -> Encoder:
        """The encoder of the active space, loaded when first used.

        Raises
        ------
        SpaceMismatchError
            Where the weights found under its name are not those the catalog was built with.
        """
        with self._lock:
            if self._encoder is None:
                encoder = load_encoder(self.space.encoder, device=self.device)
                self.space.require(encoder.space, hint=f"{self.space.encoder} here is not what the catalog was built with")
                self._encoder = encoder
            return self._encoder

    @cached_property
    def shared(self) -> Mapping[str, tuple[str, ...]]:
        """Items by the sha256 of a photo that several of them own, as sizes and variants of one product may."""
        owners: dict[str, list[str]] = {}
        for item in self.items.values():
            for sha in item.photos:
                owners.setdefault(sha, []).append(item.item_id)
        return {sha: tuple(items) for sha, items in owners.items() if len(items) > 1}

    @cached_property
    def issues(self) -> list[Issue]:
        """What the source had and the catalog has not."""
        return reading.read_issues(self.path, self.manifest)

    @property
    def likeness(self) -> Likeness:
        """What a photo's nearness to the items is worth here, learnt when first used."""
        with self._lock:
            return self._likeness

    @cached_property
    def _likeness(self) -> Likeness:
        return Likeness(self)

    def of_role(self, role: PhotoRole) -> list[CatalogPhoto]:
        return [p for p in self.photos.values() if p.role is role]

    def embedding(self, sha256: str) -> FloatArray:
        """Return the vector of a photo, shape (d,)."""
        return np.asarray(self.vectors[self._row_of[sha256]])

    def prepared(self, sha256: str) -> Prepared:
        """Return a stored photo as the encoder takes it, read as it was when it was embedded."""
        name, side = self.photos[sha256].name, 2 * self.encoder.input_size
        return self.encoder.prepare(reading.load_photo(self.path, sha256, target_side=side, name=name))

    def photo(self, sha256: str) -> PhotoContext:
        """Return a stored photo with its embedding; what is computed on it is kept while it is in use.

        Raises
        ------
        KeyError
            Where the catalog has no such photo.
        """
        with self._lock:
            return self._kept.get(sha256, self._reference)

    def _reference(self, sha256: str) -> PhotoContext:
        entry, side = self.photos[sha256], None if sha256 in self._marked else PIXEL_SIDE
        decode = partial(reading.load_photo, self.path, sha256, target_side=side, name=entry.name)
        known = self.embedding(sha256) if sha256 in self._row_of else None
        phash = entry.phash, entry.phash_quality
        return PhotoContext(sha256, decode, "reference", sha256=sha256, phash=phash, embedding=known, side=side)

    def nearest(
        self, queries: FloatArray | Embeddings, k: int, *, roles: frozenset[PhotoRole] = frozenset({PhotoRole.REFERENCE})
    ) -> Neighbors:
        """Find the `k` nearest photos of some roles.

        Parameters
        ----------
        queries : ndarray, shape (n, d), float32, or Embeddings
            Of this catalog's space.
        k : int
        roles : frozenset of PhotoRole

        Returns
        -------
        Neighbors
            Ids are positions in `photo_ids`.
        """
        if isinstance(queries, Embeddings):
            self.space.require(queries.space)
            queries = queries.vectors
        return self._search.photos(queries, k, roles)

    def search(self, photo: ImageSource, k: int = 10, *, brand: str | None = None) -> list[Candidate]:
        """Return the items that look most like a photo, by plain cosine similarity.

        Parameters
        ----------
        photo : path, bytes, binary file object, PIL image or uint8 array (H, W, 3)
        k : int
            Most items.
        brand : str, optional
            Only items of this brand.

        Returns
        -------
        list of Candidate
            Best first, one per item with its nearest photo.

        Raises
        ------
        ImageError
            Where the photo cannot be read.
        ValueError
            Where `k` is below 1, or the catalog has no such brand.
        """
        if k < 1:
            raise ValueError(f"k: expected at least 1, got {k}")
        if brand is not None and brand not in self.brands:
            raise ValueError(f"brand: the catalog has no brand {brand!r}; it has {', '.join(sorted(self.brands)[:10])}")
        image = load_image(photo, target_side=2 * self.encoder.input_size)
        vector = self.encoder.encode([image])
        return self._search.items(vector, k, brand)

    def verify(self) -> list[str]:
        """Compare every file of the catalog with its checksum; return a line per problem."""
        return reading.damaged_files(self.path, self.manifest, self.photos)

    @cached_property
    def _marked(self) -> frozenset[str]:  # they are decoded in full: a mark may be a small part of its photo
        return frozenset(logo.photo for brand in self.brands.values() for logo in brand.logos)

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {sha: row for row, sha in enumerate(self.photo_ids)}

    @cached_property
    def _search(self) -> Search:
        parts = self.manifest.spaces[self.manifest.active]
        return Search(self.path, parts, self.vectors, [self.photos.get(sha) for sha in self.photo_ids])
