"""Calibration: from finding values to a probability, with the birth certificate of every threshold.

The model is an additive logistic one with a sign constraint: a contradiction never lowers the probability. It is small
enough to read: a coefficient per finding, and per listing a contribution per finding; they sum to the logit. Where there are
listings enough, an isotonic regression maps the score to what was seen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgmatch.errors import CalibrationError
from imgmatch.io.files import atomic_write
from imgmatch.messages import Message
from imgmatch.types import EmbeddingSpace

if TYPE_CHECKING:
    from imgmatch.verdicts.rules import Rules

__all__ = ["Calibration", "Coefficient", "OperatingPoint", "logit", "map_isotonic", "shipped_calibration", "sigmoid"]


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A finding's part in the logit: ``weight * value``.

    An abstention adds nothing, like a value of 0: a signal that could not tell is not a suspicion. What abstaining
    listings are worth on the whole is in the intercept.

    Parameters
    ----------
    weight : float
        >= 0.
    made : int
        Number of fitted listings where it was made.
    """

    weight: float
    made: int


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold and what was measured there.

    Parameters
    ----------
    name : str
    threshold : float
        Least rank of a lead, which the rules must allow as well; below it the listing stays in review.
    negatives, positives : int
        Randomly drawn listings that the figures rest on.
    fpr, recall : float
        Share of honest and of bad listings that become a lead at this very threshold, by cross-fitting over groups.
    fpr_interval, recall_interval : tuple of float
        Wilson intervals, 95 %.
    """

    name: str
    threshold: float
    negatives: int
    positives: int
    fpr: float
    fpr_interval: tuple[float, float]
    recall: float
    recall_interval: tuple[float, float]


# A calibration's file holds its name and source as text; those that we wrote are said in the reader's language.
_OURS: Mapping[str, Message] = {
    text: text
    for text in (
        Message("mobilenet-v2 default"),
        Message("self-calibration"),
        Message("own labels"),
        Message("rendered fictional markets"),
        Message("the catalog's own photos, forged and not, in invented offers"),
        Message("reviewers' decisions"),
    )
}


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted model with its operating points and where they come from.

    Parameters
    ----------
    name : str
    fitted_on : str
        ``reviews`` (reviewers' decisions), ``self`` (a catalog's own photos, forged and not, in invented offers) or
        ``rendered`` (fictional markets). What a model fitted on rendered markets gives is a rank, not a probability.
    source : str
        In words, what it was fitted on.
    dataset : str
        sha256 over the examples.
    created : str
        ISO 8601 date.
    space : mapping
        ``id`` and ``description`` of the embedding space.
    gating : str
        :attr:`Rules.gating` of the rules it was fitted with.
    examples, positives : int
    training_prevalence, prevalence : float
        Share of positives it was fitted on, and the one it is corrected to.
    intercept : float
        Of the training prevalence.
    coefficients : mapping of str to Coefficient
    points : mapping of str to OperatingPoint
    refused : mapping of str to str
        Operating points that the data cannot support, with the reason.
    brands : mapping of str to mapping
        Per claimed brand: negatives, positives, and the leads among them at the strictest point.
    quality : mapping of str to float
        Cross-fitted Brier score, Brier skill over the base rate, and calibration error among p > 0.1.
    curve : tuple of (float, float)
        Knots of the isotonic regression, (score, logit), both ascending; empty where the data do not support one, and the
        score is the logit.
    """

    name: str
    fitted_on: str
    source: str
    dataset: str
    created: str
    space: Mapping[str, str]
    gating: str
    examples: int
    positives: int
    training_prevalence: float
    prevalence: float
    intercept: float
    coefficients: Mapping[str, Coefficient]
    points: Mapping[str, OperatingPoint]
    refused: Mapping[str, str] = field(default_factory=dict)
    brands: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    quality: Mapping[str, float] = field(default_factory=dict)
    curve: tuple[tuple[float, float], ...] = ()

    @property
    def earns_probability(self) -> bool:
        """Whether its ranks are probabilities: it has seen a person's own listings, or photos of the catalog itself."""
        return self.fitted_on != "rendered"

    def rank(self, values: Mapping[str, float | None]) -> tuple[float, dict[str, float]]:
        """Return the rank of one listing and what it is made of.

        Parameters
        ----------
        values : mapping of str to (float or None)
            Finding values in [0, 1]; missing or None for an abstention.

        Returns
        -------
        rank : float
            In (0, 1); a probability where :attr:`earns_probability`.
        contributions : dict of str to float
            ``intercept``, one per finding, and ``isotonic`` where there is a curve; they sum to the logit.

        Notes
        -----
        Where the prevalence differs from training the intercept is shifted by the difference of the two log odds
        (King and Zeng, "Logistic regression in rare events data", 2001, equation 7).
        """
        shift = logit(self.prevalence) - logit(self.training_prevalence)
        contributions = {"intercept": self.intercept + shift}
        for name, c in self.coefficients.items():
            value = values.get(name)
            contributions[name] = 0.0 if value is None else c.weight * value
        if self.curve:
            score = sum(contributions.values()) - shift
            contributions["isotonic"] = float(map_isotonic(np.float64(score), self.curve)) - score
        return float(sigmoid(np.float64(sum(contributions.values())))), contributions

    def misfit(self, space: EmbeddingSpace, rules: Rules) -> tuple[str, str] | None:
        """Say why this cannot be used; None where it can.

        Returns
        -------
        (``space`` or ``rules``, what differs and what to do), or None

        Notes
        -----
        It depends on the embedding space, on what makes a claim, and on the names and meaning of the findings that it
        weighs; not on labels, nor on how strong a contradiction the rules call a value.
        """
        if self.space["id"] != space.id:
            return "space", (
                f"calibration {self.name} was fitted in another embedding space, {self.space['description']}; the "
                f"catalog's is {space.describe()}. Fit one for this catalog: imgmatch calibrate --self CATALOG"
            )
        unknown = sorted(set(self.coefficients) - set(rules.contradictions))
        if unknown or self.gating != rules.gating:
            why = f"the rules have no {', '.join(unknown)}" if unknown else "other findings make a claim in these rules"
            return "rules", f"calibration {self.name} was fitted with other rules: {why}. Fit it again: imgmatch calibrate"
        return None

    def point(self, name: str) -> OperatingPoint:
        """Return an operating point.

        Raises
        ------
        CalibrationError
            With the reason where the data cannot support it.
        """
        if name in self.points:
            return self.points[name]
        why = self.refused.get(name, "it is not known")
        raise CalibrationError(
            f"calibration {self.name} has no operating point {name}: {why}; it has {', '.join(sorted(self.points))}"
        )

    def describe(self) -> Message:
        """Return a line for records and reports, which says what its numbers are of."""
        kind = {
            "rendered": Message("ranks, not probabilities"),
            "self": Message("probabilities among listings made of the catalog's own photos"),
        }
        fitted = Message("fitted on {source}", source=_OURS.get(self.source, self.source))
        listings = Message("{count:,} listings", count=self.examples)
        said = (*([kind[self.fitted_on]] if self.fitted_on in kind else []), fitted, listings, self.created)
        return Message("{name} ({facts})", name=_OURS.get(self.name, self.name), facts=said)

    def with_prevalence(self, prevalence: float) -> Calibration:
        """Return the same model for another share of bad listings; thresholds move along, FPR and recall stay.

        Parameters
        ----------
        prevalence : float
            In (0, 1).
        """
        if not 0.0 < prevalence < 1.0:
            raise CalibrationError(f"prevalence: expected a share between 0 and 1, got {prevalence}")
        shift = logit(prevalence) - logit(self.prevalence)

        def move(p: float) -> float:
            return p if p in (0.0, 1.0) else float(sigmoid(np.float64(logit(p) + shift)))

        points = {name: replace(point, threshold=move(point.threshold)) for name, point in self.points.items()}
        return replace(self, prevalence=prevalence, points=points)

    @property
    def fingerprint(self) -> str:
        """16 hex digits over everything in it."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        return json.dumps({"format": "imgmatch calibration 2", **asdict(self)}, indent=1, sort_keys=True) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the JSON, whole or not at all."""
        with atomic_write(path) as f:
            f.write(self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Read what :meth:`save` wrote.

        Raises
        ------
        CalibrationError
            Where the file is missing or is not what ``calibration.schema.json`` describes.
        """
        try:
            text = Path(path).read_text("utf-8")
        except OSError as error:
            raise CalibrationError(f"{path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise CalibrationError(f"{path}: not UTF-8 text") from error
        return cls.from_json(text, source=str(path))

    @classmethod
    def from_json(cls, text: str, *, source: str = "<text>") -> Calibration:
        import jsonschema

        schema = json.loads(files("imgmatch.schemas").joinpath("calibration.schema.json").read_text("utf-8"))
        try:
            row = json.loads(text, parse_constant=_no_constant)
            # `jsonschema.validate` would check our own schema by the standard at every start, which takes 50 ms.
            # Of the mistakes the first hundred: somebody else's file may hold a million, each of which takes time.
            mistakes = islice(jsonschema.Draft202012Validator(schema).iter_errors(row), 100)
            wrong = jsonschema.exceptions.best_match(mistakes)
        except (ValueError, RecursionError) as error:
            raise CalibrationError(f"{source}: not valid JSON: {error}") from error
        if isinstance(row, dict) and row.get("format") == "imgmatch calibration 1":
            raise CalibrationError(f"{source}: was made by an earlier version; fit it again: imgmatch calibrate")
        if wrong is not None:
            where = "/".join(map(str, wrong.absolute_path)) or "the file"
            raise CalibrationError(f"{source}: not a calibration: {where}: {wrong.message:.200}")
        del row["format"]
        row["curve"] = tuple((score, height) for score, height in row.get("curve", ()))
        if any(low > high for knots in zip(*row["curve"], strict=True) for low, high in pairwise(knots)):
            raise CalibrationError(f"{source}: not a calibration: curve: expected scores and logits that ascend")
        row["coefficients"] = {k: Coefficient(**v) for k, v in row["coefficients"].items()}
        row["points"] = {
            k: OperatingPoint(
                **{**v, "fpr_interval": tuple(v["fpr_interval"]), "recall_interval": tuple(v["recall_interval"])}
            )
            for k, v in row["points"].items()
        }
        return cls(**row)


def shipped_calibration(space: EmbeddingSpace) -> Calibration | None:
    """Return the calibration in ``weights/`` that was fitted in `space`, None where none was."""
    for entry in sorted(files("imgmatch.weights").iterdir(), key=lambda e: e.name):
        if entry.name.startswith("calibration-") and entry.name.endswith(".json"):
            calibration = Calibration.from_json(entry.read_text("utf-8"), source=entry.name)
            if calibration.space["id"] == space.id:
                return calibration
    return None


def map_isotonic(score: Any, curve: Sequence[tuple[float, float]]) -> Any:
    """Map scores to logits along the knots of an isotonic regression, a number or an array.

    Straight between the knots, which keeps the order of scores within a block (Oron and Flournoy, "Centered isotonic
    regression", 2017), and with slope 1 beyond the outermost.
    """
    x, y = np.array(curve).T
    inside = np.interp(score, x, y)
    return inside + np.minimum(score - x[0], 0.0) + np.maximum(score - x[-1], 0.0)


def sigmoid(z: Any) -> Any:
    """Return 1 / (1 + exp(-z)) without overflow, for a number or an array."""
    return np.exp(-np.logaddexp(0.0, -z))


def logit(p: float) -> float:
    """Return the log odds of a share in (0, 1)."""
    return float(np.log(p) - np.log1p(-p))


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")
