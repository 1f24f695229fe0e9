"""A reviewer's browser without a browser: enters the desk, reads pages, sends their forms with their token."""

from __future__ import annotations

import re
from typing import Any

from fastapi.testclient import TestClient

from imgmatch.apps.desk.app import create_desk
from imgmatch.apps.desk.desk import Desk
from imgmatch.apps.service import LOOPBACK

LOCAL = "http://127.0.0.1:8100"


class Browser:
    """A reviewer's browser: enters, reads pages, sends their forms."""

    def __init__(self, desk: Desk, name: str = "ann", **more: Any) -> None:
        self.client = TestClient(create_desk(desk, hosts=LOOPBACK, **more), base_url=LOCAL)
        assert self.client.post("/enter", data={"reviewer": name}, follow_redirects=False).status_code == 303

    def get(self, path: str) -> str:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    def token(self) -> str:
        found = re.search(r'data-csrf="(\w+)"', self.get("/queue"))
        assert found
        return found[1]

    def post(self, path: str, **fields: str) -> Any:
        return self.client.post(path, data={"csrf": self.token(), **fields}, follow_redirects=False)


def slug(desk: Desk, listing_id: str) -> str:
    return desk.index.row("SELECT slug FROM listings WHERE listing_id = ?", (listing_id,))["slug"]
