"""The two bundles, built by the same hands: the same pinned wheels, the same bytecode."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from benchmarks import HOME
from infra.bundles import Bundler
from infra.lock import read_lock
from infra.stages import STAGES
from infra.targets import Target, choose
from infra.wheels import Wheels, compile_tree

HERE = Path(__file__).parent
STOCK_REQUIREMENTS = ["aws-lambda-powertools", "boto3", "jmespath", "pydantic"]
_CACHE = HOME / ".offload" / "bundles"


def host() -> Target:
    """Return this machine as a target: what is measured has to run here."""
    return choose(next(stage for stage in STAGES if stage.on_host))


def ours(folder: Path) -> Path:
    """Unpack the bundle that `cdk deploy` would upload for the measured task."""
    with zipfile.ZipFile(Bundler(HERE / "ours", host(), cache=_CACHE).bundle("send_receipt").path) as archive:
        archive.extractall(folder)
    return folder


def stock(folder: Path) -> Path:
    """Bundle the stock handler."""
    target = host()
    wheels = Wheels(target, read_lock(HOME / "requirements.txt"), _CACHE / target.tag)
    with zipfile.ZipFile(wheels.archive(STOCK_REQUIREMENTS)) as archive:
        archive.extractall(folder)
    own = folder / "stock"
    shutil.copytree(HERE / "stock", own, ignore=shutil.ignore_patterns("__pycache__"))
    compile_tree(own, target)
    return folder
