"""Options and environment of a client, checked."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from muster.errors import OptionsError

DEFAULT_URL = "http://127.0.0.1:7071"

_LOOPBACK = re.compile(r"localhost|127(?:\.\d{1,3}){3}|::1")


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificates of a TLS connection: paths of PEM files."""

    ca: str | os.PathLike[str] | None = None
    """Certificates to trust; None means those of the system."""
    cert: str | os.PathLike[str] | None = None
    """Client certificate; needs `key`."""
    key: str | os.PathLike[str] | None = None
    """Private key of `cert`."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """A client's options, checked."""

    urls: tuple[str, ...]
    token: str | None
    tls: Tls | None
    timeout: float
    proxy: bool | str

    def ssl_context(self) -> ssl.SSLContext:
        """The certificates as they are in their files now."""
        tls = self.tls or Tls()
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.cert is not None and tls.key is not None:
            context.load_cert_chain(tls.cert, tls.key)
        return context

    def proxy_of(self, url: str) -> tuple[bool, str | None]:
        """Whether the variables of proxies count for an address, and the proxy that an option names."""
        if isinstance(self.proxy, str):
            return False, self.proxy
        # A proxy elsewhere cannot reach this machine's own loopback address.
        return self.proxy and _LOOPBACK.fullmatch(urlsplit(url).hostname or "") is None, None


def client_settings(
    url: str | None,
    token: str | None,
    tls: Tls | None,
    timeout: float,
    proxy: bool | str,
    environment: Mapping[str, str] | None = None,
) -> ClientSettings:
    """Options first, then the environment, then the defaults; OptionsError names every fault at once."""
    env = os.environ if environment is None else environment
    faults: list[str] = []
    urls = _urls(url, env, faults)
    if not isinstance(timeout, int | float) or isinstance(timeout, bool) or not 0.001 <= timeout <= 86_400:
        faults.append(f"timeout is {timeout!r}; give seconds from 0.001 to 86400")
    chosen = _tls(tls, env, faults)
    bearer = _token(token, env, faults)
    if chosen is not None and not any(each.startswith("https://") for each in urls) and tls is not None:
        faults.append(f"tls is given, and no address begins with https://: {', '.join(urls)}")
    if faults:
        raise OptionsError("; ".join(faults))
    return ClientSettings(urls, bearer, chosen, float(timeout), proxy)


def _urls(option: str | None, env: Mapping[str, str], faults: list[str]) -> tuple[str, ...]:
    source, value = ("url", option) if option is not None else ("MUSTER_HTTP_URL", env.get("MUSTER_HTTP_URL") or DEFAULT_URL)
    urls = [each.strip().rstrip("/") for each in value.split(",") if each.strip()]
    if not urls:
        faults.append(f"{source} is empty; give for example {DEFAULT_URL}")
    for each in urls:
        parts = _parts(each)
        if parts is None:
            faults.append(f"{source} has {each!r}; give the HTTP address of the scheduler, for example {DEFAULT_URL}")
        elif parts.username is not None or parts.query or parts.fragment:
            faults.append(f"{source} has an address with more than scheme, host, port and path (value not shown)")
    return tuple(urls)


def _parts(url: str) -> SplitResult | None:
    """The parts of an address of HTTP; None when it is none."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if known else None


def _token(option: str | None, env: Mapping[str, str], faults: list[str]) -> str | None:
    # Files and secret stores add a line break.
    token = option.strip() if option is not None else env.get("MUSTER_TOKEN", "").strip() or None
    if token is not None and re.fullmatch(r"[\x21-\x7e]+", token) is None:
        source = "token" if option is not None else "MUSTER_TOKEN"
        faults.append(f"{source} must be printable ASCII characters without spaces (value not shown)")
    return token


def _tls(option: Tls | None, env: Mapping[str, str], faults: list[str]) -> Tls | None:
    tls = option
    if tls is None:
        ca, cert, key = (env.get(f"MUSTER_TLS_{name}") or None for name in ("CA", "CERT", "KEY"))
        if ca is None and cert is None and key is None:
            return None
        tls = Tls(ca, cert, key)
    if (tls.cert is None) != (tls.key is None):
        faults.append("a client certificate needs both its cert and its key (MUSTER_TLS_CERT, MUSTER_TLS_KEY)")
    for name, path in (("ca", tls.ca), ("cert", tls.cert), ("key", tls.key)):
        if path is not None and not Path(path).is_file():
            faults.append(f"tls {name}: there is no file {os.fspath(path)!r}")
    return tls
