"""The SSM parameters of the manifest: one, and parts beside it when the tasks do not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.manifest import parts
from offload.core.manifest import parameter_name

if TYPE_CHECKING:
    from offload.core.manifest import Manifest


class ManifestParameters(Construct):
    """The parameters of a stack's manifest.

    Attributes:
        parameter: The parameter that clients read first.
    """

    def __init__(self, scope: Construct, id: str, *, manifest: Manifest) -> None:  # noqa: A002 - CDK's name
        """Create as many parameters as the manifest needs."""
        super().__init__(scope, id)
        pieces = parts(manifest)
        self.parameter = ssm.StringParameter(
            self,
            "Parameter",
            parameter_name=parameter_name(manifest.stack),
            description="The tasks and resources of this stack; clients read it",
            string_value=manifest.dump([name for name, _ in pieces]),
        )
        for index, (name, text) in enumerate(pieces):
            part = ssm.StringParameter(
                self,
                f"Part{index}",
                parameter_name=name,
                description=f"Tasks of the stack, part {index + 1} of {len(pieces)}; clients read it",
                string_value=text,
            )
            # A client that reads the new manifest finds its parts. The old ones are deleted at the end of a deployment.
            self.parameter.node.add_dependency(part)
