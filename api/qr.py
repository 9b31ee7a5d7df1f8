"""QR codes as drawings that a page may show."""

from io import BytesIO

import segno


def qr_svg(text: str) -> str:
    """The QR code of a text as SVG without inline styles, its quiet zone included."""
    out = BytesIO()
    segno.make(text, error="m").save(out, kind="svg", scale=5, border=4, xmldecl=False, omitsize=True, light="#fff")
    return out.getvalue().decode()
