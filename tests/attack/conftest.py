"""One office for all quick tests of attacks over HTTP."""

from tests.api.conftest import office

__all__ = ["office"]
