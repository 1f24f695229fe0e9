"""Ask a running service about one listing, with nothing but the standard library.

    imgmatch serve --catalog catalog &
    python examples/service_client.py bag.jpg "Halvenne tote, as new" "150 EUR"

Prints the decision and its reasons. What to do about a refusal is in the answer: the script prints that too.
"""

from __future__ import annotations

import base64
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any


def examine(
    photos: list[bytes], listing: dict[str, Any], *, url: str = "http://127.0.0.1:8000", token: str | None = None
) -> dict[str, Any]:
    """Return the record of a listing; raises RuntimeError with the service's own words where it refuses."""
    body = {"listing": listing, "photos": [base64.b64encode(photo).decode() for photo in photos]}
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    request = urllib.request.Request(f"{url}/examine", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=90) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as refusal:
        said = json.load(refusal)
        raise RuntimeError(f"{refusal.code}: {said['what']}: {said['why']} {said['do']}") from None


def main(photo: str, title: str, price: str, url: str = "http://127.0.0.1:8000") -> None:
    listing = {"listing_id": Path(photo).stem, "title": title, "price": price}
    record = examine([Path(photo).read_bytes()], listing, url=url)
    print(record["verdict"]["decision"])
    for reason in record["verdict"]["reasons"]:
        print(" ", reason)


if __name__ == "__main__":
    main(*sys.argv[1:])
