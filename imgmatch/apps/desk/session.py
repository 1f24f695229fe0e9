"""Who is at the desk: a signed cookie with the reviewer's name, and the token that every change must carry."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from imgmatch.apps.guard import ServiceError

__all__ = ["Door", "Session"]

_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that has entered: the reviewer's name and the token of its forms."""

    reviewer: str
    csrf: str


class Door:
    """Lets browsers in and knows them again while this process runs; nothing is kept but one secret.

    Parameters
    ----------
    token : str or None
        What must be given to enter; None for a desk of this machine alone.
    """

    def __init__(self, token: str | None) -> None:
        self.token = token
        self._secret = secrets.token_bytes(32)
        # Cookies do not know ports: two desks on one machine need two names.
        self.cookie = f"desk-{secrets.token_hex(4)}"

    def enter(self, reviewer: str, token: str) -> str:
        """Return the cookie of a browser that enters.

        Raises
        ------
        ServiceError
            Where the token is wrong or the name is none.
        """
        if self.token is not None and not hmac.compare_digest(token.encode("utf-8", "replace"), self.token.encode()):
            raise ServiceError(401, "no valid token", "this desk opens only to those who know its token", "try again")
        name = " ".join(reviewer.split())
        if not name or len(name) > _LONGEST_NAME or not name.isprintable():
            why = f"expected 1 to {_LONGEST_NAME} printable characters"
            raise ServiceError(422, "no name", why, "go back and say who you are: decisions carry your name")
        parts = f"{secrets.token_hex(16)}.{base64.urlsafe_b64encode(name.encode()).decode()}"
        return f"{parts}.{self._sign(parts)}"

    def session(self, cookies: Mapping[str, str]) -> Session | None:
        """Return who a request's cookies are of; None for one that has not entered."""
        parts, _, signature = cookies.get(self.cookie, "").rpartition(".")
        if not parts or not hmac.compare_digest(signature.encode(), self._sign(parts).encode()):
            return None
        name = base64.urlsafe_b64decode(parts.partition(".")[2]).decode()
        return Session(name, self._sign(f"csrf {parts}"))

    def check(self, session: Session, given: str) -> None:
        """Refuse a change that no form of ours asks for.

        Raises
        ------
        ServiceError
        """
        if not hmac.compare_digest(given.encode("utf-8", "replace"), session.csrf.encode()):
            why = "it does not carry the token of this desk's own forms"
            raise ServiceError(403, "not done", why, "go back, load the page again and repeat it")

    def _sign(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()
