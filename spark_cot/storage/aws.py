"""How S3 is reached, resolved once by botocore and given to every client alike.

s3fs is botocore. GDAL, delta-rs and workers on other machines would each look for credentials and
endpoint in places of their own, and none of them in all of botocore's: profiles, ``endpoint_url``
in the configuration file, SSO, roles of machines and of pods. Source: botocore documentation,
"Credentials" and "Configuration"; AWS SDKs and Tools Reference Guide.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

from spark_cot.errors import SetupError

#: Credentials that come from where a process runs, so that those elsewhere have their own.
_OF_THE_MACHINE: Final = frozenset({"iam-role", "container-role", "assume-role-with-web-identity"})
#: What to do where a store does not let us in.
CURE: Final = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, and AWS_ENDPOINT_URL if the "
    "store is not Amazon's; where single sign-on has run out, `aws sso login`"
)


@dataclass(frozen=True, slots=True)
class Access:
    """What a client must be told to reach the store.

    Attributes
    ----------
    keys : mapping
        Credentials by the names of their environment variables; empty without any.
    endpoint : str
        URL; empty for Amazon's own.
    region : str
    is_local : bool
        Whether the credentials are those of the machine or pod.
    is_virtual : bool
        Whether the bucket is part of the host's name.
    attempts : int or None
        How often a request is made before its failure counts; None leaves it to each client.
    retry_mode : str
        Botocore's; empty for its default.
    """

    keys: Mapping[str, str]
    endpoint: str
    region: str
    is_local: bool
    is_virtual: bool
    attempts: int | None
    retry_mode: str

    @property
    def retries(self) -> str:
        """Attempts after the first, as clients that count these are told; empty if not set."""
        return "" if self.attempts is None else str(self.attempts - 1)

    @property
    def environment(self) -> dict[str, str]:
        """The same for a process on another machine."""
        places = {"AWS_ENDPOINT_URL_S3": self.endpoint, "AWS_ENDPOINT_URL": self.endpoint}
        places |= {"AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region}
        retries = {"AWS_MAX_ATTEMPTS": str(self.attempts or ""), "AWS_RETRY_MODE": self.retry_mode}
        keys = {} if self.is_local else self.keys
        return {name: value for name, value in {**keys, **places, **retries}.items() if value}

    @property
    def gdal(self) -> dict[str, str]:
        """Options of GDAL beside the keys; variables of its own names win.

        Source: GDAL documentation, "Network based file systems".
        """
        options = {"AWS_REGION": self.region, "GDAL_HTTP_MAX_RETRY": self.retries}
        if self.endpoint:
            url = urlsplit(self.endpoint)
            options["AWS_S3_ENDPOINT"] = f"{url.netloc}{url.path}".rstrip("/")
            options["AWS_HTTPS"] = "YES" if url.scheme == "https" else "NO"
            options["AWS_VIRTUAL_HOSTING"] = "TRUE" if self.is_virtual else "FALSE"
        return {name: value for name, value in options.items() if value}


def access() -> Access:
    """The access that environment and files of this process stand for, now.

    Credentials that run out are fetched anew by botocore.

    Raises
    ------
    SetupError
        The settings contradict each other, or credentials cannot be had.
    """
    from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]

    try:
        session, endpoint = _session(tuple(sorted(_variables().items())))
        found = session.get_credentials()
        keys = _keys(found.get_frozen_credentials()) if found is not None else {}
        region = os.environ.get("AWS_REGION") or session.get_config_variable("region") or ""
        s3 = session.get_scoped_config().get("s3", {})
        attempts = session.get_config_variable("max_attempts") or None
        retry_mode = session.get_config_variable("retry_mode") or ""
    except (BotoCoreError, ValueError) as error:
        raise SetupError(f"S3 settings do not lead to a store: {error}", cure=CURE) from error
    style = s3.get("addressing_style", "") if isinstance(s3, dict) else ""
    is_local = found is not None and found.method in _OF_THE_MACHINE
    return Access(keys, endpoint, region, is_local, style == "virtual", attempts, retry_mode)


@cache
def _session(_variables: tuple[tuple[str, str], ...]) -> tuple[Any, str]:
    """A session for these variables, and its endpoint, empty for Amazon's own."""
    import botocore.session  # type: ignore[import-untyped]

    session = botocore.session.Session()
    region = session.get_config_variable("region") or os.environ.get("AWS_REGION")
    url = session.create_client("s3", region_name=region).meta.endpoint_url
    host = urlsplit(url).hostname or ""
    is_amazon = host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
    return session, "" if is_amazon else url


def _variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def _keys(frozen: Any) -> dict[str, str]:
    keys = {
        "AWS_ACCESS_KEY_ID": frozen.access_key,
        "AWS_SECRET_ACCESS_KEY": frozen.secret_key,
        "AWS_SESSION_TOKEN": frozen.token,
    }
    return {name: value for name, value in keys.items() if value}
