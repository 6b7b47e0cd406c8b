"""An engine whose build cache answers with an image for another platform than was asked for."""

import platform

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import ErrorCode
from support.engine.packaging import SMALL, Packaging

OWN, OTHER = ("arm64", "amd64") if platform.machine() == "aarch64" else ("amd64", "arm64")


async def test_an_image_for_another_platform_is_no_success(packaging: Packaging) -> None:
    """Where the cache has one (that of Docker 20.10 does), the build fails; without the cache it is what was asked."""
    async with packaging.node() as node:
        own = await packaging.package(node, SMALL, platform=f"linux/{OWN}")
        cached = await packaging.package(node, SMALL, platform=f"linux/{OTHER}")
        anew = await packaging.package(node, SMALL, platform=f"linux/{OTHER}", no_cache=True)

    assert (f"linux/{OWN}", f"linux/{OTHER}") == (own.platform, anew.platform)
    assert (cached.success, cached.error_code, cached.platform) in {
        (False, ErrorCode.BUILD_FAILED, None),
        (True, None, f"linux/{OTHER}"),
    }
    assert cached.success or "no_cache" in str(cached.recovery)
