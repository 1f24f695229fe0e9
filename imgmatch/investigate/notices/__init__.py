"""Drafts of notices to platforms about listings that a person has reviewed; never sent by us."""

from imgmatch.investigate.notices.notices import (
    FORMATS,
    NOTICES,
    Draft,
    NoticeItem,
    Sender,
    notice_items,
    render_notice,
)

__all__ = ["FORMATS", "NOTICES", "Draft", "NoticeItem", "Sender", "notice_items", "render_notice"]
