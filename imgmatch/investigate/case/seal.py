"""Sealed packages: a zip whose every byte is accounted for.

The files lie uncompressed in a fixed order with fixed times, so that the same files always give the same bytes, and so that
verifying can pack them again and compare: whatever is not exactly what packing would have written is noticed, down to bytes
between, before and after the entries.

Inside, ``manifest.json`` names the sha256 and size of every file, ``manifest.sha256`` is the hash of the manifest in the
format of ``sha256sum``, and a signed package has ``manifest.sig`` (Ed25519 over the manifest, hex) and ``signer.pem``. That
one hash is what to write down elsewhere, or to have timestamped (RFC 3161): it identifies the whole package.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from imgmatch.errors import InputError, MissingExtraError
from imgmatch.io.files import atomic_write

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["Seal", "load_private_key", "load_public_key", "verify_package", "write_package"]

_MANIFEST, _DIGEST, _SIGNATURE, _SIGNER = "manifest.json", "manifest.sha256", "manifest.sig", "signer.pem"
_SEAL = frozenset({_MANIFEST, _DIGEST, _SIGNATURE, _SIGNER})
_PIECE = 1 << 20
_MANIFEST_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Seal:
    """What a package's hashes say.

    Parameters
    ----------
    manifest_sha256 : str or None
        The hash that stands for the package; None where the manifest cannot be read.
    files : int
    signer : str or None
        sha256 of the public key whose signature is good.
    problems : tuple of str
        Empty if nothing was changed since packaging.
    """

    manifest_sha256: str | None
    files: int
    signer: str | None
    problems: tuple[str, ...]


def write_package(
    out: Path, files: Mapping[str, bytes | Path], about: Mapping[str, Any], key: Ed25519PrivateKey | None = None
) -> Seal:
    """Write a sealed package.

    Parameters
    ----------
    out : Path
        Written whole or not at all.
    files : mapping of str to bytes or Path
        By name in the package: relative, ``/`` between folders.
    about : mapping
        JSON that goes into the manifest beside the list of files.
    key : Ed25519PrivateKey, optional
        Signs the manifest.
    """
    rows = []
    for name, content in sorted(files.items()):
        if name in _SEAL or not _is_name(name):
            raise ValueError(f"not a name for a file in a package: {name!r}")
        digest, size = _digest(content)
        rows.append({"path": name, "bytes": size, "sha256": digest})
    manifest = _json({**about, "files": rows})
    manifest_sha256 = hashlib.sha256(manifest).hexdigest()
    seal: dict[str, bytes | Path] = {_MANIFEST: manifest, _DIGEST: f"{manifest_sha256}  {_MANIFEST}\n".encode()}
    signer = None
    if key is not None:
        seal[_SIGNATURE] = key.sign(manifest).hex().encode() + b"\n"
        seal[_SIGNER] = pem = _public_pem(key.public_key())
        signer = hashlib.sha256(pem).hexdigest()
    with atomic_write(out, "wb") as f:
        _pack(f, {**files, **seal})
    return Seal(manifest_sha256, len(rows), signer, ())


def verify_package(path: Path, public_key: Ed25519PublicKey | None = None) -> Seal:
    """Check that nothing in a package was changed, removed or added since it was written.

    Parameters
    ----------
    path : Path
    public_key : Ed25519PublicKey, optional
        The key that must have signed it. Without one, a signature is checked against the key in the package, which
        only shows that whoever sealed it had that key.

    Raises
    ------
    InputError
        Where the file cannot be opened at all.
    """
    if not path.is_file():
        raise InputError("no such file", source=str(path))
    checker = _Checker(public_key)
    try:
        with zipfile.ZipFile(path) as archive:
            checker.check(archive, path)
    # A damaged zip can fail anywhere in the parser; whatever it raises, the package is not what was written.
    except Exception as error:
        checker.problems.append(f"the package cannot be read: {error or type(error).__name__}")
    return Seal(checker.manifest_sha256, checker.files, checker.signer, tuple(checker.problems))


class _Checker:
    def __init__(self, public_key: Ed25519PublicKey | None) -> None:
        self.public_key = public_key
        self.problems: list[str] = []
        self.manifest_sha256: str | None = None
        self.signer: str | None = None
        self.files = 0

    def check(self, archive: zipfile.ZipFile, path: Path) -> None:
        infos = archive.infolist()
        names = [info.filename for info in infos]
        self.problems += [f"{name!r} is there more than once" for name, times in sorted(Counter(names).items()) if times > 1]
        self.problems += [f"{name!r:.200} is no name for a file in a package" for name in names if not _is_name(name)]
        if any(info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 for info in infos):
            self.problems.append("an entry is compressed or encrypted, which packages never are")
        if sum(info.file_size for info in infos) > path.stat().st_size or self.problems:
            self.problems.append("the package was not written by imgmatch")
            return
        present = set(names)
        missing = {_MANIFEST, _DIGEST} - present
        if missing:
            self.problems.append(f"{min(missing)} is missing")
            return
        if archive.getinfo(_MANIFEST).file_size > _MANIFEST_BYTES:
            self.problems.append("the manifest is too large")
            return
        manifest = archive.read(_MANIFEST)
        self.manifest_sha256 = hashlib.sha256(manifest).hexdigest()
        if archive.read(_DIGEST) != f"{self.manifest_sha256}  {_MANIFEST}\n".encode():
            self.problems.append(f"{_MANIFEST} was changed, or {_DIGEST} was")
        rows = json.loads(manifest)["files"]
        listed = Counter(row["path"] for row in rows)
        self.problems += [f"the manifest lists {name!r:.200} twice" for name, times in sorted(listed.items()) if times > 1]
        if not rows:
            self.problems.append("there is no file in the package")
        self._check_files(archive, rows, present)
        self._check_signature(archive, manifest, present)
        if not _same_as_packed(archive, path):
            self.problems.append("there are bytes in the package that belong to no file")

    def _check_files(self, archive: zipfile.ZipFile, rows: list[dict[str, Any]], present: set[str]) -> None:
        listed = {row["path"]: row for row in rows}
        self.files = len(listed)
        for name in sorted(set(listed) - present):
            self.problems.append(f"{name} is missing")
        for name in sorted(present - set(listed) - _SEAL):
            self.problems.append(f"{name!r} was added")
        found: tuple[str, int] | None
        for name in sorted(set(listed) & present):
            try:
                with archive.open(name) as f:
                    found = _digest_stream(f)
            except zipfile.BadZipFile:
                found = None
            if found != (listed[name]["sha256"], listed[name]["bytes"]):
                self.problems.append(f"{name} was changed")

    def _check_signature(self, archive: zipfile.ZipFile, manifest: bytes, present: set[str]) -> None:
        if not {_SIGNATURE, _SIGNER} & present:
            if self.public_key is not None:
                self.problems.append("the package is not signed")
            return
        from cryptography.exceptions import InvalidSignature

        pem = archive.read(_SIGNER)
        key = _public_key(pem, _SIGNER)
        if self.public_key is not None and _public_pem(self.public_key) != pem:
            self.problems.append("the package is signed with another key")
            return
        text = archive.read(_SIGNATURE).decode("ascii")
        try:
            key.verify(bytes.fromhex(text), manifest)
        except InvalidSignature:
            self.problems.append("the signature does not fit the manifest")
            return
        if text != bytes.fromhex(text).hex() + "\n" or _public_pem(key) != pem:
            self.problems.append("the signature or its key is written in another form than ours")
            return
        self.signer = hashlib.sha256(pem).hexdigest()


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Read an unencrypted Ed25519 key in PEM, as ``openssl genpkey -algorithm ed25519`` writes it.

    Raises
    ------
    InputError
        Where it is something else.
    MissingExtraError
        Without the extra ``case``.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        raise MissingExtraError("signing", "case") from error
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"expected an unencrypted Ed25519 private key in PEM: {error}", source=str(path)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError("expected an Ed25519 key", source=str(path))
    return key


def load_public_key(path: Path) -> Ed25519PublicKey:
    """Read an Ed25519 public key in PEM; raises as `load_private_key`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", source=str(path)) from error
    return _public_key(data, str(path))


def _public_key(pem: bytes, source: str) -> Ed25519PublicKey:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError as error:
        raise MissingExtraError("checking a signature", "case") from error
    try:
        key = load_pem_public_key(pem)
    except ValueError as error:
        raise InputError(f"expected an Ed25519 public key in PEM: {error}", source=source) from error
    if not isinstance(key, Ed25519PublicKey):
        raise InputError("expected an Ed25519 key", source=source)
    return key


def _public_pem(key: Ed25519PublicKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _pack(out: IO[bytes], files: Mapping[str, bytes | Path]) -> None:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in [*sorted(set(files) - _SEAL), *sorted(set(files) & _SEAL)]:
            content = files[name]
            size = len(content) if isinstance(content, bytes) else content.stat().st_size
            with _open(content) as source:
                _write_entry(archive, name, size, source)


def _write_entry(archive: zipfile.ZipFile, name: str, size: int, source: IO[bytes]) -> None:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))  # the earliest time a zip can name: no time at all
    info.create_system = 3
    info.external_attr = 0o644 << 16
    info.file_size = size
    with archive.open(info, "w") as f:
        for piece in _pieces(source):
            f.write(piece)


def _same_as_packed(archive: zipfile.ZipFile, path: Path) -> bool:
    """Pack the entries again, in their order, and compare byte by byte."""
    with tempfile.TemporaryFile() as again, open(path, "rb") as original:
        with zipfile.ZipFile(again, "w", zipfile.ZIP_STORED) as copy:
            for info in archive.infolist():
                with archive.open(info) as source:
                    _write_entry(copy, info.filename, info.file_size, source)
        again.seek(0)
        while True:
            a, b = again.read(_PIECE), original.read(_PIECE)
            if a != b:
                return False
            if not a:
                return True


def _is_name(name: object) -> bool:
    """Tell whether a file in a package may be called so: relative, in plain ASCII, nowhere but below."""
    if not isinstance(name, str) or not name.isascii() or not name.isprintable() or "\\" in name or ":" in name:
        return False
    return all(part not in ("", ".", "..") for part in name.split("/"))


def _open(content: bytes | Path) -> IO[bytes]:
    return io.BytesIO(content) if isinstance(content, bytes) else open(content, "rb")


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    while piece := stream.read(_PIECE):
        yield piece


def _digest(content: bytes | Path) -> tuple[str, int]:
    with _open(content) as f:
        return _digest_stream(f)


def _digest_stream(stream: IO[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    for piece in _pieces(stream):
        digest.update(piece)
        size += len(piece)
    return digest.hexdigest(), size


def _json(value: Any) -> bytes:
    # Lone surrogates of hostile text stay as escapes, so the file is always valid UTF-8.
    return (json.dumps(value, sort_keys=True, indent=1, ensure_ascii=True) + "\n").encode("ascii")
