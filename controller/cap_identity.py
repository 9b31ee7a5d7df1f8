"""Who we are in our own alerts in CAP: a sender's name, and the key that signs them if there is one."""

from controller.cap.areas import schemes_with
from controller.cap.signing import CapSigner, signer_of
from controller.config import CentreConfig
from loa.errors import Refused
from loa.names import AreaPath


def cap_identity(config: CentreConfig, province: AreaPath) -> tuple[str, CapSigner | None]:
    """Sender and signer. Raises Refused(bad_config, file_missing, bad_key_file)."""
    return config.cap_sender or f"loa.{province}", _signer(config)


def cap_schemes(config: CentreConfig) -> frozenset[str]:
    """Of the codes of our places."""
    return schemes_with(config.cap_code_schemes.split(","))


def _signer(config: CentreConfig) -> CapSigner | None:
    """Raises Refused(bad_config, file_missing, bad_key_file)."""
    if config.cap_key is None and config.cap_certificate is None:
        return None
    if config.cap_key is None or config.cap_certificate is None:
        raise Refused("bad_config", field="cap_key", limit="cap_key and cap_certificate belong together")
    for path in (config.cap_key, config.cap_certificate):
        if not path.is_file():
            raise Refused("file_missing", field="cap_key", value=path)
    return signer_of(config.cap_key.read_bytes(), config.cap_certificate.read_bytes())
