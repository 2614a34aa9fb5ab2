"""Types whose schema in pydantic's core has code, and whose JSON form is known all the same."""

from __future__ import annotations

import ipaddress
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal

from pydantic import IPvAnyAddress, IPvAnyInterface, IPvAnyNetwork

from offload.core.redaction import SecretMark

if TYPE_CHECKING:
    from collections.abc import Mapping

_FORMATS: Mapping[Any, str] = {
    ipaddress.IPv4Address: "ipv4",
    ipaddress.IPv6Address: "ipv6",
    ipaddress.IPv4Network: "ipv4network",
    ipaddress.IPv6Network: "ipv6network",
    ipaddress.IPv4Interface: "ipv4interface",
    ipaddress.IPv6Interface: "ipv6interface",
    IPvAnyAddress: "ipvanyaddress",
    IPvAnyNetwork: "ipvanynetwork",
    IPvAnyInterface: "ipvanyinterface",
}
PLAIN_TYPES = frozenset({"lax-or-strict", "json-or-python", "function-plain", "function-wrap"})
"""The kinds of schema that such types have."""


def format_of(node: Mapping[str, Any]) -> str | None:
    """Return the format of a type that is known; None for others."""
    if node["type"] == "function-plain":
        function = node["function"]["function"]
        if getattr(function, "__name__", "") == "pattern_either_validator":  # that of `re.Pattern`
            return "regex"
        return _FORMATS.get(getattr(function, "__self__", None))
    cls = _instance_of(node)
    if isinstance(cls, type) and issubclass(cls, PurePath):
        return "path"
    return _FORMATS.get(cls)


def _instance_of(node: Mapping[str, Any]) -> Any:
    """Return the class whose instances a node takes in Python."""
    strict = node.get("strict_schema", node)
    in_python = strict.get("python_schema", {})
    return in_python.get("cls") if in_python.get("type") == "is-instance" else None


def passes_through(node: Mapping[str, Any]) -> Literal["secret", "url"] | None:
    """Return why a function around a schema changes nothing of what the schema takes; None: it may."""
    function = node["function"]["function"] if node["type"] == "function-wrap" else None
    place = getattr(function, "__qualname__", "").partition(".")[0]
    if place == SecretMark.__name__ and function.__module__ == SecretMark.__module__:
        return "secret"
    return "url" if re.fullmatch("_Base(MultiHost)?Url", place) and is_pydantics(function) else None


def is_pydantics(function: Any) -> bool:
    """Return whether a function belongs to pydantic."""
    return str(getattr(function, "__module__", "")).startswith("pydantic.")
