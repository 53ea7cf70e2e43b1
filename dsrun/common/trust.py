"""Whom TLS trusts: the files of `SSL_CERT_FILE`, `REQUESTS_CA_BUNDLE` and `CURL_CA_BUNDLE`."""

import ssl
from collections.abc import Mapping
from pathlib import Path

from dsrun.common.errors import SetupError

_FILES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_OF_OPENSSL = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def trust_of(environ: Mapping[str, str]) -> ssl.SSLContext | None:
    """What the variables name, all of it; None where none is set. Raises SetupError.

    OpenSSL reads SSL_CERT_FILE by itself, but passes over one that is not there.
    """
    context = None
    for name in _FILES:
        if environ.get(name):
            context = _trusting(context, name, Path(environ[name]))
    if any(environ.get(name) for name in _OF_OPENSSL):
        context = context or ssl.create_default_context()
        context.load_default_certs()
    return context


def _trusting(context: ssl.SSLContext | None, name: str, path: Path) -> ssl.SSLContext:
    """The context, or a new one, which trusts these certificates."""
    try:
        file, folder = (None, path) if path.is_dir() else (path, None)
        if context is None:
            return ssl.create_default_context(cafile=file, capath=folder)
        context.load_verify_locations(cafile=file, capath=folder)
    except (OSError, ValueError) as error:
        is_read = isinstance(error, ssl.SSLError)
        words = "it holds no certificates" if is_read else getattr(error, "strerror", None) or error
        raise SetupError(
            f"{name} names {path}, which cannot be used: {words}; it should be a file of PEM "
            "certificates to trust"
        ) from error
    return context
