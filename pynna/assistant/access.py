# SPDX-License-Identifier: Apache-2.0
"""Who reaches a server, and what is needed for it."""

from __future__ import annotations

import ipaddress
import ssl

from pynna.errors import ArgumentError


def host_name(header: str) -> str:
    """A Host header without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.rpartition(":")[0] if ":" in header else header


def check_access(host: str, token: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext | None:
    """What a server at an address needs: nothing on the loopback; a token and TLS files beyond it.

    Raises
    ------
    ArgumentError
        One of them is missing, or a file cannot be used.
    """
    if (certificate is None) != (key is None):
        raise ArgumentError("--certificate and --key belong together")
    context = None
    if certificate is not None and key is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise ArgumentError(f"{certificate} and {key} are no certificate and its key: {error}") from None
    if not is_loopback(host):
        if not token or len(token) < 16:
            raise ArgumentError(f"{host} can be reached from outside: give --token with 16 characters or more")
        if context is None:
            raise ArgumentError(f"{host} can be reached from outside: give --certificate and --key")
    return context


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
