"""The templates' environment: escaping, the one stylesheet, the content security policy."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from imgmatch.investigate.report import words
from imgmatch.messages import language

if TYPE_CHECKING:
    import jinja2

__all__ = ["environment"]


@lru_cache(maxsize=8)
def environment(lang: str = "en") -> jinja2.Environment:
    """Return the templates' environment of a language.

    Everything that is printed is said in that language where it is a message, and escaped; a misspelt name is an error.
    """
    import jinja2
    import markupsafe

    spoken = language(lang)
    env = jinja2.Environment(
        extensions=["jinja2.ext.i18n"],
        finalize=spoken.say,
        loader=jinja2.PackageLoader("imgmatch.investigate", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.policies["ext.i18n.trimmed"] = True
    env.install_gettext_callables(  # type: ignore[attr-defined]
        lambda id: spoken.templates.get(id, id), lambda one, many, n: one if n == 1 else many, newstyle=True
    )
    style = (files("imgmatch.investigate.report") / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    env.globals.update(
        lang="en" if lang == "en" else spoken.locale.replace("_", "-"),
        say=spoken.say,
        style=markupsafe.Markup(style),  # noqa: S704 - ours, from the package
        # Nothing runs, nothing is fetched: pictures are in the page and the one stylesheet is known by its hash.
        policy=f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        disclaimer=words.DISCLAIMER,
        decision_words=words.DECISION_WORDS,
        decision_help=words.DECISION_HELP,
    )
    return env
