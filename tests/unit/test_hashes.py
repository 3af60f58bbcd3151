"""infra/hashes.txt: the same versions as constraints.txt, each with a hash."""

from pathlib import Path

from packaging.utils import canonicalize_name


def test_every_pinned_package_has_hashes_of_the_same_version() -> None:
    lines = Path("infra/constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    locked = {}
    for block in Path("infra/hashes.txt").read_text().replace("\\\n", "").splitlines():
        if not block.startswith("#"):
            requirement, *hashes = block.split()
            name, version = requirement.split("==")
            assert hashes, name
            assert all(len(value) == len("--hash=sha256:") + 64 for value in hashes)
            locked[name] = version
    missing = {canonicalize_name(name): version for name, version in pins.items()}.items() - locked.items()
    assert not missing, f"{sorted(missing)}: run python infra/lock_hashes.py"
