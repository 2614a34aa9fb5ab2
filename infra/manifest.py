"""How the manifest is split into SSM parameters, and how long it can become."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from offload.core.manifest import LARGEST_PARAMETER, Manifest, pack_tasks, parameter_name

if TYPE_CHECKING:
    from collections.abc import Sequence


def parts(manifest: Manifest) -> Sequence[tuple[str, str]]:
    """Return names and texts of the parts; none when the manifest fits into its own parameter.

    The name of a part changes with its content, so that a deployment replaces a part and never changes one.
    """
    if len(with_longest_names(manifest).dump()) <= LARGEST_PARAMETER:
        return []
    text = pack_tasks(manifest.tasks)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    pieces = [text[start : start + LARGEST_PARAMETER] for start in range(0, len(text), LARGEST_PARAMETER)]
    return [(f"{parameter_name(manifest.stack)}/{digest}/{index}", piece) for index, piece in enumerate(pieces)]


def with_longest_names(manifest: Manifest) -> Manifest:
    """Return the manifest with the longest names that CloudFormation could fill in at the deployment."""
    role = "arn:aws-us-gov:iam::" + "0" * 12 + ":role/" + "r" * 64
    roles = manifest.timers.get("roles")
    longest = {"role": role} if roles is None else {"roles": dict.fromkeys(roles, role)}
    # CloudFormation builds the table's name from stack, construct and 13 characters of its own.
    return replace(
        manifest,
        account="0" * 12,
        region="ap-southeast-99",
        table=manifest.stack + "-" + "t" * 32,
        bucket="b" * 63,
        timers={**manifest.timers, **longest},
    )
