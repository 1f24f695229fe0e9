"""Claim × contradiction: the table of rules, read from TOML, and what it makes of a set of findings.

The table that ships is ``weights/rules.toml``; a user's copy is named in the config (``[fusion] rules = "path"``).
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from imgmatch.errors import ConfigError
from imgmatch.messages import Message
from imgmatch.types import FINDING_NAMES, Decision, Finding, FindingStatus, Label
from imgmatch.verdicts.checks import claim_levels, flag, only, share
from imgmatch.verdicts.claim import Claim, weigh

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - the same library under its older name
    import tomli as tomllib

__all__ = ["Assessment", "Contradiction", "LabelRule", "Rules", "Strength"]

Strength = str
"""``strong``, ``weak`` or ``note``; see the head of ``weights/rules.toml``."""

_STRENGTHS: tuple[Strength, ...] = ("strong", "weak", "note")

_MEANING = 1
"""Raised where the value of a contradiction comes to mean something else: calibrations of before do not fit then."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """How much a finding of one name says against a claim.

    Parameters
    ----------
    source : str
        What was looked at; two weak contradictions from one source count as one.
    strong, weak, note : float or None
        Least finding value in [0, 1] that counts as such; None for never.
    alone : bool
        The finding carries a brand claim of its own.
    beside : bool
        Counts only beside a contradiction that is not `beside`; else it is a note.
    photo : bool
        Is about what a photo shows and not about the offer.
    """

    source: str
    strong: float | None
    weak: float | None
    note: float | None
    alone: bool
    beside: bool
    photo: bool

    def strength(self, value: float) -> Strength | None:
        """Return the greatest strength that `value` reaches, None for none."""
        for name in _STRENGTHS:
            least = getattr(self, name)
            if least is not None and value >= least:
                return name
        return None


@dataclass(frozen=True, slots=True)
class LabelRule:
    """Give `label` where any of `claims` and any of `contradictions` hold."""

    label: Label
    claims: frozenset[str]
    contradictions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the rules make of the findings of one listing, before any probability.

    Parameters
    ----------
    brand : str or None
        The brand that the listing presents itself as; None where nothing claims one.
    claims : tuple of Finding
        What claims that brand, strongest first, one per finding name.
    contradictions : tuple of (Finding, strength)
        What speaks against it, strongest first, one per finding name.
    allows : Decision
        The most that claim × contradiction supports: lead, review, or clear where nothing contradicts. A verdict is never
        below review where this is review or lead.
    labels : tuple of Label
    plain : tuple of str
        Strong contradictions that meet another finding whose claim is plain (words, mark, copied photo): each is enough for
        a lead where no calibration weighs it.
    together : bool
        None of `claims` would make a claim by itself; several sources that agree do.
    known : bool
        Something is known of the offer that could contradict the claim, whether it does or not.
    named : tuple of Claim
        The brand and its rivals, most probable first.
    shown : tuple of Finding
        Those of `claims` that are about a photo of the listing; none where another brand is named as surely.
    """

    brand: str | None
    claims: tuple[Finding, ...] = ()
    contradictions: tuple[tuple[Finding, Strength], ...] = ()
    allows: Decision = Decision.CLEAR
    labels: tuple[Label, ...] = ()
    plain: tuple[str, ...] = ()
    together: bool = False
    known: bool = False
    named: tuple[Claim, ...] = ()

    @property
    def shown(self) -> tuple[Finding, ...]:
        if self.named and self.named[0].probability < 0.5:
            return ()  # another brand is named as surely: a question, not an answer
        return tuple(f for f in self.claims if (f.photo_id or "").startswith("photo-"))


@dataclass(frozen=True, slots=True)
class Rules:
    """The table.

    Parameters
    ----------
    claims : mapping of str to float
        Finding name to the least value that makes a claim.
    contradictions : mapping of str to Contradiction
        By finding name.
    labels : tuple of LabelRule
    weak : mapping of str to float
        Finding name to the least value that counts beside another such finding about the brand, where nothing claims one.
    trust : mapping of str to float
        Finding name to the share of right ones among the brands that it names when it is surest.
    single, plain : frozenset of str
        Finding names of which one listing photo is expected to claim one brand, and those whose claim is plain.
    """

    claims: Mapping[str, float]
    contradictions: Mapping[str, Contradiction]
    labels: tuple[LabelRule, ...]
    weak: Mapping[str, float] = field(default_factory=dict)
    trust: Mapping[str, float] = field(default_factory=dict)
    single: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()

    @classmethod
    def load(cls, path: str | Path | None = None) -> Rules:
        """Read a table; the one that ships where `path` is None.

        Raises
        ------
        ConfigError
            Naming the file and the key.
        """
        source = files("imgmatch.weights").joinpath("rules.toml") if path is None else Path(path)
        try:
            return cls.from_dict(tomllib.loads(source.read_text("utf-8")))
        except OSError as error:
            raise ConfigError(f"{source}: {error.strerror}") from error
        except (ValueError, TypeError, RecursionError) as error:  # of TOML, of UTF-8 and ConfigError itself
            raise ConfigError(f"{source}: {error}") from error

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Rules:
        """Make rules of what the TOML holds; anything unknown is an error."""
        only(table, {"claims", "contradictions", "labels"}, "")
        claims = claim_levels(table.get("claims", {}))
        contradictions = _read_contradictions(table.get("contradictions", {}))
        flagged = {key: frozenset(n for n, row in claims.items() if row[key]) for key in ("single", "plain")}
        return cls(
            {name: row["least"] for name, row in claims.items()},
            contradictions,
            _read_labels(table.get("labels", ()), set(claims), set(contradictions)),
            {name: row["weak"] for name, row in claims.items() if "weak" in row},
            {name: row["trust"] for name, row in claims.items() if "trust" in row},
            **flagged,
        )

    @property
    def fingerprint(self) -> str:
        """16 hex digits over every rule."""
        labels = [[str(r.label), sorted(r.claims), sorted(r.contradictions)] for r in self.labels]
        contradictions = {k: asdict(v) for k, v in self.contradictions.items()}
        return _digest([self._gates, sorted(self.plain), dict(self.trust), contradictions, labels])

    @property
    def gating(self) -> str:
        """16 hex digits over what decides which findings a calibration sees: what makes a claim, and what findings mean."""
        return _digest([_MEANING, self._gates])

    @property
    def _gates(self) -> list[Any]:
        return [dict(self.claims), dict(self.weak), sorted(self.single)]

    def assess(
        self,
        findings: Sequence[Finding],
        authorised: Callable[[str], object] = lambda brand: None,
        called: Callable[[str], str] = str,
    ) -> Assessment:
        """Weigh the findings of one listing.

        Parameters
        ----------
        findings : sequence of Finding
            Of all signals, in any order; only those with status ``ok`` count.
        authorised, called : callable
            Whether a brand authorises the seller: then what is weak is a note and what is strong allows a review at most;
            and what people call a brand.

        Returns
        -------
        Assessment
            The same for every order of `findings`.

        Notes
        -----
        The claimed brand is the most probable one by :func:`imgmatch.verdicts.claim.weigh` of those that a finding claims,
        or that weak findings of several sources name. Where a signal claims only another brand, or names both in one photo,
        a finding ``disagreement`` is derived, with the smaller of the two best values.
        """
        ok = [f for f in findings if f.value is not None]
        claims = self._claimed(ok)
        if not claims:
            return Assessment(None)
        named = weigh((f for by in claims.values() for f in by.values()), self.trust)
        brand = named[0].brand
        mine = sorted(claims[brand].values(), key=_order)
        others = [
            f
            for b in claims
            if b != brand
            for f in claims[b].values()
            if self._suffices(f) and self._disagrees(f, claims[brand])
        ]
        best: dict[str, Finding] = {}
        for finding in ok:
            if finding.signal in self.contradictions and finding.brand in (None, brand):
                _keep_best(best, finding)
        known = any(not self.contradictions[name].photo for name in best)
        if others:
            other = min(others, key=_order)
            own = claims[brand].get(other.signal, mine[0])
            best["disagreement"] = Finding(
                "disagreement",
                FindingStatus.OK,
                min(_of(own), _of(other)),
                Message(
                    "{finding} points to {brand}, {other} to {rival}.",
                    finding=FINDING_NAMES.get(own.signal, own.signal),
                    brand=called(brand),
                    other=FINDING_NAMES.get(other.signal, other.signal),
                    rival=called(other.brand or ""),
                ),
                photo_id=other.photo_id,
                brand=brand,
            )
        names = {f.signal for f in mine}
        plain = {f.signal for f in mine if self._suffices(f)} & self.plain
        contradictions = self._strengths(best, names)
        trusted, together = bool(authorised(brand)), not any(map(self._suffices, mine))
        if trusted:
            contradictions = tuple((f, "weak" if s == "strong" else "note") for f, s in contradictions)
        allows = _allowed([(self.contradictions[f.signal].source, s) for f, s in contradictions])
        return Assessment(
            brand,
            tuple(mine),
            contradictions=contradictions,
            allows=min(allows, Decision.REVIEW, key=lambda d: d.rank) if trusted or together else allows,
            labels=self._labels(names, {f.signal for f, _ in contradictions}),
            plain=tuple(f.signal for f, s in contradictions if s == "strong" and plain - {f.signal}),
            together=together,
            known=known,
            named=tuple(named),
        )

    def _claimed(self, findings: Sequence[Finding]) -> dict[str, dict[str, Finding]]:
        """Return by brand what claims it, the best finding of each name.

        Where a finding claims any brand by itself, only such brands count, with what else says so by a half or more; where
        none does, weak ones of two names in one photo must agree.
        """
        named: dict[str, dict[str, Finding]] = {}
        for f in findings:
            if f.brand is not None and f.signal in self.claims and _of(f) >= self.weak.get(f.signal, self.claims[f.signal]):
                _keep_best(named.setdefault(f.brand, {}), f)
        claims = {}
        for brand, by in named.items():
            if any(map(self._suffices, by.values())):
                claims[brand] = {name: f for name, f in by.items() if self._suffices(f) or _of(f) >= 0.5}
        return claims or {brand: by for brand, by in named.items() if len({f.photo_id for f in by.values()}) < len(by)}

    def _suffices(self, finding: Finding) -> bool:
        return _of(finding) >= self.claims[finding.signal]

    def _disagrees(self, other: Finding, mine: Mapping[str, Finding]) -> bool:
        """Tell whether a claim of another brand stands against these.

        A signal that sees two brands (a composite, a title that names both) does not disagree with itself; one photo of the
        offer that bears the names of two does. What is posted about it is a scene and may show more.
        """
        own, photo = mine.get(other.signal), other.photo_id or ""
        return own is None or (other.signal in self.single and photo.startswith("photo-") and photo == own.photo_id)

    def _strengths(self, best: Mapping[str, Finding], claims: set[str]) -> tuple[tuple[Finding, Strength], ...]:
        out = []
        for name, finding in best.items():
            rule = self.contradictions.get(name)
            strength = rule.strength(_of(finding)) if rule is not None else None
            if rule is None or strength is None:
                continue
            if strength == "strong" and claims == {name} and not rule.alone:
                strength = "weak"  # one finding cannot be the whole claim and the whole contradiction
            out.append((finding, strength))
        if all(strength == "note" or self.contradictions[f.signal].beside for f, strength in out):
            out = [(f, "note") for f, _ in out]  # nothing that they could stand beside
        return tuple(sorted(out, key=lambda pair: (_STRENGTHS.index(pair[1]), *_order(pair[0]))))

    def _labels(self, claims: set[str], contradictions: set[str]) -> tuple[Label, ...]:
        return tuple(r.label for r in self.labels if r.claims & claims and r.contradictions & contradictions)


def _allowed(found: Sequence[tuple[str, Strength]]) -> Decision:
    """One strong contradiction or two weak ones from different sources allow a lead; one weak one allows a review."""
    if any(strength == "strong" for _, strength in found):
        return Decision.LEAD
    sources = {source for source, strength in found if strength == "weak"}
    return Decision.LEAD if len(sources) >= 2 else Decision.REVIEW if sources else Decision.CLEAR


def _of(finding: Finding) -> float:
    return finding.value or 0.0


def _order(finding: Finding) -> tuple[float, str, str, str, str]:
    """Strongest first, then by what it is, so that the order of findings changes nothing."""
    return (-_of(finding), finding.signal, finding.brand or "", finding.photo_id or "", finding.reason)


def _keep_best(best: dict[str, Finding], finding: Finding) -> None:
    if finding.signal not in best or _order(finding) < _order(best[finding.signal]):
        best[finding.signal] = finding


def _digest(table: Any) -> str:
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()[:16]


def _read_contradictions(table: Any) -> dict[str, Contradiction]:
    only(table, None, "contradictions.")
    out = {}
    for name, row in table.items():
        where = f"contradictions.{name}"
        only(row, {"source", *_STRENGTHS, "alone", "beside", "photo"}, f"{where}.")
        if not isinstance(row.get("source"), str):
            raise ConfigError(f"{where}.source: expected a word that says what was looked at")
        levels = {level: share(row[level], f"{where}.{level}") for level in _STRENGTHS if level in row}
        if not levels:
            raise ConfigError(f"{where}: expected at least one of {', '.join(_STRENGTHS)}")
        if list(levels.values()) != sorted(levels.values(), reverse=True):
            raise ConfigError(f"{where}: expected strong >= weak >= note, got {levels}")
        strong, weak, note = (levels.get(level) for level in _STRENGTHS)
        alone, beside, photo = (flag(row.get(key, False), f"{where}.{key}") for key in ("alone", "beside", "photo"))
        out[name] = Contradiction(row["source"], strong, weak=weak, note=note, alone=alone, beside=beside, photo=photo)
    return out


def _read_labels(rows: Any, claims: set[str], contradictions: set[str]) -> tuple[LabelRule, ...]:
    labels = []
    for i, row in enumerate(rows):
        only(row, {"label", "claims", "contradictions"}, f"labels[{i}].")
        try:
            label = Label(row["label"])
        except (KeyError, ValueError):
            raise ConfigError(f"labels[{i}].label: expected one of {', '.join(Label)}") from None
        for key, known in (("claims", claims), ("contradictions", contradictions)):
            if not isinstance(row.get(key), list):
                raise ConfigError(f"labels[{i}].{key}: expected a list of finding names")
            unknown = set(row[key]) - known
            if unknown:
                raise ConfigError(f"labels[{i}].{key}: {min(unknown)} is not in the table [{key}]")
        labels.append(LabelRule(label, frozenset(row["claims"]), frozenset(row["contradictions"])))
    return tuple(labels)
