"""`deployment-sender packages`: what is in the store."""

import asyncio

from ..store.manifest import PackageManifest
from ..store.store import PackageStore
from .console import table
from .figures import size, when
from .options import PackageId
from .session import Session

__all__ = ["list_packages", "remove_package"]


async def list_packages(session: Session) -> bool:
    """List the packages, newest first."""
    store = PackageStore(session.settings().package_dir)
    found = await asyncio.to_thread(store.list)
    session.console.document({"packages": [manifest.model_dump(mode="json") for manifest in found]})
    session.console.say(*(_lines(found) if found else [f"no packages in {session.settings().package_dir}"]))
    return True


async def remove_package(session: Session, package_id: PackageId) -> bool:
    """Remove a package from the store."""
    store = PackageStore(session.settings().package_dir)
    await asyncio.to_thread(store.remove, package_id)
    session.console.document({"success": True, "package_id": package_id})
    session.console.say(f"removed {package_id}")
    return True


def _lines(found: list[PackageManifest]) -> list[str]:
    rows = [
        (
            one.package_id,
            f"{one.container_name}:{one.image_tag}",
            size(one.size_bytes),
            one.compression,
            one.checksum[:16],
            when(one.created_at),
        )
        for one in found
    ]
    return table(("PACKAGE", "IMAGE", "SIZE", "COMPRESSION", "BLAKE3", "CREATED (UTC)"), rows)
