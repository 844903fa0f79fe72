"""A table of a database that is shared until it is touched: tools change copies of the entries that they ask for."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, MutableMapping, ValuesView
from typing import Any


class Table(MutableMapping[str, Any]):
    """Entries by id: those that were asked for by id are copies, all others are the shared ones.

    A tool that writes asks for an entry first, so that the shared entries never change; going through all entries,
    as a search does, copies nothing.

    Example:
        >>> shared = {"a": [1], "b": [2]}
        >>> table = Table(shared, copy=list)
        >>> table["a"].append(3)
        >>> (table["a"], shared["a"], sorted(table.touched))
        ([1, 3], [1], ['a'])
    """

    def __init__(self, shared: Mapping[str, Any], *, copy: Any, touched: Mapping[str, Any] | None = None) -> None:
        self.shared = shared
        self.touched: dict[str, Any] = dict(touched or {})
        """Entries of this table's own."""
        self._copy = copy

    def __getitem__(self, key: str) -> Any:
        """The entry, which is this table's own from now on."""
        if key not in self.touched:
            self.touched[key] = self._copy(self.shared[key])
        return self.touched[key]

    def __setitem__(self, key: str, value: Any) -> None:
        """Put an entry."""
        self.touched[key] = value

    def __delitem__(self, key: str) -> None:
        """Refused: no tool takes an entry away."""
        raise TypeError(f"The entry {key!r} cannot be removed: tables of a sandbox only change and grow.")

    def __contains__(self, key: object) -> bool:
        """Whether there is such an entry; asking copies nothing."""
        return key in self.touched or key in self.shared

    def __iter__(self) -> Iterator[str]:
        """Ids: the shared ones, then new ones."""
        yield from self.shared
        yield from (key for key in self.touched if key not in self.shared)

    def __len__(self) -> int:
        """Number of entries."""
        return len(self.shared) + sum(key not in self.shared for key in self.touched)

    def keys(self) -> KeysView[str]:
        """Ids."""
        return dict.fromkeys(self).keys()

    def values(self) -> ValuesView[Any]:
        """Entries, to be read only."""
        return self._whole().values()

    def items(self) -> ItemsView[str, Any]:
        """Ids and entries, to be read only."""
        return self._whole().items()

    def _whole(self) -> dict[str, Any]:
        return {**self.shared, **self.touched}
