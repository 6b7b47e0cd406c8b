"""Modules that are imported when they are first used, so that importing this package costs little.

    if TYPE_CHECKING:
        from .store import packages
    else:
        packages = lazy_module(".store.packages", __package__)

Type checkers and import-linter read the first branch. At run time the name is a stand-in for the module; `load` imports
it in a thread, because an import takes longer than the event loop may be blocked.
"""

from importlib import import_module
from importlib.util import resolve_name
from types import ModuleType
from typing import Any

from .concurrency import run_in_thread

__all__ = ["lazy_module", "load"]


class _LazyModule(ModuleType):
    """A stand-in for a module; the first use of an attribute imports the module."""

    _module: ModuleType | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.imported(), name)

    def imported(self) -> ModuleType:
        """Return the module; the first call imports it."""
        if self._module is None:
            self._module = import_module(self.__name__)
        return self._module

    @property
    def is_imported(self) -> bool:
        """Whether the module is imported already."""
        return self._module is not None


def lazy_module(name: str, package: str | None = None) -> ModuleType:
    """Return a stand-in for a module that is not imported yet.

    Args:
        name: Of the module, relative to `package` if it begins with a dot.
        package: The caller's `__package__`.
    """
    return _LazyModule(resolve_name(name, package))


async def load(module: ModuleType) -> None:
    """Import a lazy module in a thread, unless it is imported already.

    Raises:
        ImportError: It cannot be imported.
    """
    if isinstance(module, _LazyModule) and not module.is_imported:
        await run_in_thread(module.imported)
