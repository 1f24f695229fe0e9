"""Numbers as people write them: which marks are those of thousands, which of decimals."""

from __future__ import annotations

import re
from collections.abc import Sequence

from imgmatch.market.currencies import decimal_marks, decimals
from imgmatch.messages import Message

__all__ = ["UnreadableError", "read_number"]


class UnreadableError(ValueError):
    """Why a text gives no price."""

    def __init__(self, message: Message) -> None:
        super().__init__(message)
        self.message = message


def read_number(number: str, codes: tuple[str, ...], text: str, *, scaled: bool) -> tuple[float, bool]:
    """Return the number that a text of digits and marks stands for, and whether it may be a thousand times that."""
    groups, marks = re.split(r"[.,'· ]", number), re.findall(r"[.,'· ]", number)
    if not marks:
        return float(number), False
    last = marks[-1]
    whole, thousands_marks = groups[:-1], set(marks[:-1])
    decimal = (
        last in ".,·"
        and len(thousands_marks) <= 1
        and not thousands_marks & {last, "·"}
        and (len(whole) == 1 or _grouped(whole))
    )
    grouped = len(set(marks)) == 1 and last != "·" and _grouped(groups)
    unsure = decimal and grouped and not _is_thousands(last, codes, text, scaled=scaled)
    if grouped and not unsure:
        return float("".join(groups)), False
    by_four = last == "," and len(whole) == 1 and len(groups[-1]) == 4 and len(whole[0]) < 4 and groups[-1] != "0000"
    one_dot = last == "·" and len(whole) == 1 and len(groups[-1]) == 3 and not any(decimals(code) == 3 for code in codes[:1])
    if decimal and not by_four and not one_dot:  # 1,2500 1·250
        return float("".join(whole) + "." + groups[-1]), unsure
    raise UnreadableError(
        Message("The price cannot be read, its digits are not grouped by thousands: “{text:.60}”.", text=text)
    )


def _is_thousands(mark: str, codes: tuple[str, ...], text: str, *, scaled: bool) -> bool:
    """Tell whether one mark before three digits is a thousands mark."""
    if scaled:  # 1.250k
        raise UnreadableError(Message("The price can be read in several ways: “{text:.60}”.", text=text))
    if not any(decimals(code) == 3 for code in codes[:1]):
        return True
    used = decimal_marks(codes[0])
    if {".", ","} <= used:
        raise UnreadableError(
            Message(
                "The price can be read in several ways: “{text:.60}” may be thousands or three decimals of {currency}.",
                text=text,
                currency=codes[0],
            )
        )
    return mark not in used


def _grouped(groups: Sequence[str]) -> bool:
    """Tell whether digits are grouped by threes, or the Indian way: by three, then twos."""
    first, *rest = groups
    if not rest or len(rest[-1]) != 3 or first.startswith("0"):
        return False
    western = 1 <= len(first) <= 3 and all(len(g) == 3 for g in rest)
    return western or (1 <= len(first) <= 2 and all(len(g) == 2 for g in rest[:-1]))
