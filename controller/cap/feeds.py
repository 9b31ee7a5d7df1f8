"""What a feed points to: Atom (RFC 4287), RSS 2.0 and 1.0 entries that have no alert inside."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

from lxml import etree

MAX_LINKS: Final = 2000
_ATOM: Final = "{http://www.w3.org/2005/Atom}"
_FEEDS: Final = frozenset({"feed", "rss", "RDF", "EDXLDistribution", "alert"})


@dataclass(frozen=True)
class FeedLink:
    """An alert's address, and when the feed says that it was changed: the two together are fetched once."""

    url: str
    mark: str


def is_feed(roots: tuple[etree._Element, ...]) -> bool:
    """Whether these documents are of a kind that may hold or point to alerts, none at the moment included."""
    return bool(roots) and all(_local(root) in _FEEDS for root in roots)


def links_in(roots: tuple[etree._Element, ...], base: str) -> tuple[FeedLink, ...]:
    """The links of entries without an alert in them, in their order, each once. base: the feed's own address."""
    found: dict[FeedLink, None] = {}
    for root in roots:
        for entry in root.iter(etree.Element):
            if _local(entry) not in ("entry", "item") or _holds_alert(entry):
                continue
            url = _chosen(entry, base)
            if url is not None and len(found) < MAX_LINKS:
                found.setdefault(FeedLink(url, _mark(entry)))
    return tuple(found)


def _chosen(entry: etree._Element, base: str) -> str | None:
    """The link that is most likely an alert in CAP: by its type, then by its name, then the first one."""
    links = [(kind, urljoin(base, href.strip())) for kind, href in _links(entry) if href.strip()]
    links = [(kind, url) for kind, url in links if urlsplit(url).scheme in ("http", "https") and len(url) <= 1000]
    for fits in (
        lambda kind, _: "cap" in kind,
        lambda _, url: urlsplit(url).path.endswith((".cap", ".xml")),
        lambda kind, _: "xml" in kind,
        lambda kind, _: "html" not in kind,
    ):
        for kind, url in links:
            if fits(kind, url):
                return url.partition("#")[0]
    return None


def _links(entry: etree._Element) -> Iterator[tuple[str, str]]:
    """Type and address."""
    for element in entry.iterchildren(etree.Element):
        name, kind = _local(element), (element.get("type") or "").casefold()
        if element.tag == f"{_ATOM}link" and (element.get("rel") or "alternate") in ("alternate", "enclosure"):
            yield kind, element.get("href") or ""
        elif name == "content" and element.get("src"):
            yield kind, element.get("src") or ""
        elif name == "enclosure":
            yield kind, element.get("url") or ""
        elif name == "link":
            yield kind, element.text or ""


def _mark(entry: etree._Element) -> str:
    texts = {_local(one): (one.text or "").strip() for one in entry.iterchildren(etree.Element)}
    return next((texts[name][:80] for name in ("updated", "pubDate", "date", "published") if texts.get(name)), "")


def _holds_alert(entry: etree._Element) -> bool:
    for one in entry.iterdescendants(etree.Element):
        if _local(one) == "alert" or (len(one) == 0 and "<alert" in (one.text or "")):
            return True
    return False


def _local(element: etree._Element) -> str:
    return etree.QName(element).localname if isinstance(element.tag, str) else ""
