"""Drafts of notices to platforms about listings that a person has reviewed; never sent by us."""

from imgmatch.investigate.notices.notices import (
    FORMATS,
    NOTICES,
    OTHER_REASON,
    Draft,
    NoticeItem,
    Sender,
    notice_items,
    render_notice,
    template_text,
)

__all__ = [
    "FORMATS",
    "NOTICES",
    "OTHER_REASON",
    "Draft",
    "NoticeItem",
    "Sender",
    "notice_items",
    "render_notice",
    "template_text",
]
