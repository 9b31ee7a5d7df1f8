"""What a centre is told from outside: the command line wins over LOA_* in the environment, that over the file.

The file is ``loa.toml`` in the data folder, or the one that LOA_CONFIG names.
"""

import os
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from controller.keydisk import KeyFile
from loa.errors import Refused
from loa.names import AreaPath

DEFAULT_FOLDER = Path("loa-data")
DEFAULT_PROVINCE = "quang-ninh"
CREDENTIAL = "loa-keys"
"""What systemd's credential with the passphrase of the controller's key is called."""


class CentreConfig(BaseSettings):
    """All settings of a centre. Times are in the unit that the name ends with."""

    model_config = SettingsConfigDict(env_prefix="LOA_", extra="forbid", frozen=True)

    data: Path = DEFAULT_FOLDER
    """Folder of database, media, keys, the broker's log. One process at a time."""
    database: str = ""
    """SQLAlchemy URL; SQLite in the data folder where empty."""
    broker: str = "auto"
    """auto, mosquitto, amqtt, or a URL: mqtt://host:port, mqtts://user:password@host:port."""
    broker_bind: str = "127.0.0.1"
    """Where an embedded broker listens."""
    broker_port: int = Field(default=1883, ge=0, le=65535)
    """Of an embedded broker; 0 takes any free one."""
    insecure_broker: bool = False
    """Let a broker be reached from other machines without a password."""
    broker_files: Path | None = None
    """Folder that `loa broker-config` wrote: passwords and rules there follow who is enrolled."""
    boxes_broker: str = ""
    """The broker as boxes reach it, told at enrolment: mqtts://host:8883, without a password."""
    boxes_authority: Path | None = None
    """PEM of the authority that signed its certificate; ca.pem in `broker_files` where there is one."""
    address: str = ""
    """The API as boxes reach it, for labels: https://host:port; where this process listens, if it is empty."""
    tls: bool = False
    """HTTPS with a certificate of our own making, in the folder tls."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    bind: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    province: str = DEFAULT_PROVINCE
    """Code of the widest area; counts at the first start."""
    province_name: str = ""
    """As people write it; the code where empty."""
    accounts_key: SecretStr = SecretStr("")
    """Seals people's secrets in the database: 32 bytes in hex; in keys/accounts.key where empty."""
    cap_sender: str = Field(default="", max_length=200, pattern=r"^[^\s,<&]*$")
    """How our own alerts in CAP name us: a name of our own in the Internet; loa.{province} where empty."""
    cap_code_schemes: str = ""
    """Further names (valueName) of schemes that the codes of our areas are in, apart by commas; see docs/cap.md."""
    cap_key: Path | None = None
    """Private key, PEM without a passphrase, that signs them; unsigned where there is none."""
    cap_certificate: Path | None = None
    """Its certificate, PEM."""
    health_interval_s: int = Field(default=60, ge=1, le=3600)
    keys_passphrase_file: Path | None = None
    """Its first line opens the controller's key. Outside the data folder: who takes that must not have it."""
    keys_passphrase: SecretStr = SecretStr("")
    """The same, from the environment alone."""

    @field_validator("province")
    @classmethod
    def _one_code(cls, value: str) -> str:
        path = AreaPath(value)
        if path.parent is not None:
            raise ValueError("a province's code has no /")
        return str(path)

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data / 'loa.db'}"

    @property
    def keys_folder(self) -> Path:
        return self.data / "keys"

    def ask_passphrase(self, file: KeyFile) -> str:
        """Of the controller's key: from the file, the environment, or systemd's credential.

        Raises Refused(controller_locked, file_missing, passphrase_beside_key).
        """
        path = self.keys_passphrase_file
        if path is None and self.keys_passphrase.get_secret_value():
            return self.keys_passphrase.get_secret_value()
        if path is None and (folder := os.environ.get("CREDENTIALS_DIRECTORY")):
            path = Path(folder) / CREDENTIAL
        if path is None or (path is not self.keys_passphrase_file and not path.exists()):
            raise Refused("controller_locked", field=str(file.path))
        if path.resolve().is_relative_to(self.data.resolve()):
            raise Refused("passphrase_beside_key", field="keys_passphrase_file", value=str(path))
        return first_line(path)

    @property
    def media_folder(self) -> Path:
        return self.data / "media"

    @property
    def broker_folder(self) -> Path:
        return self.data / "broker"

    @property
    def tls_folder(self) -> Path:
        return self.data / "tls"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del dotenv_settings, file_secret_settings
        given = init_settings().get("data") or os.environ.get("LOA_DATA") or DEFAULT_FOLDER
        path = Path(os.environ.get("LOA_CONFIG") or Path(given) / "loa.toml")
        return init_settings, env_settings, _FromFile(settings_cls, toml_file=path)


class _FromFile(TomlConfigSettingsSource):
    """loa.toml, which lies where the keys lie."""

    def __call__(self) -> dict[str, Any]:
        """Raises Refused(passphrase_beside_key)."""
        found = super().__call__()
        if "keys_passphrase" in found:
            raise Refused("passphrase_beside_key", field="keys_passphrase", value=str(self.toml_file_path))
        return found


def first_line(path: Path) -> str:
    """Raises Refused(file_missing)."""
    try:
        return path.read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused("file_missing", field="keys_passphrase_file", value=str(path)) from error


def load_config(**given: Any) -> CentreConfig:
    """Read the settings; those that are None were not given. Raises Refused(bad_config), naming the setting."""
    try:
        return CentreConfig(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "config"
        raise Refused("bad_config", field=name, limit=str(first["msg"])[:120]) from error
