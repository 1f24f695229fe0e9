"""From findings to a verdict: the rules, the calibrated probability, and what reviewers say back."""

from imgmatch.verdicts.decide import Fusion, feature_values

__all__ = ["Fusion", "feature_values"]
