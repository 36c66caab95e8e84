"""Every Redis key name, built in one place. All start with the configured prefix."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Keys:
    """Key names under one prefix. Topics and phases never contain `|`."""

    prefix: str

    @property
    def versions(self) -> str:
        """Hash: state topic -> number of its version."""
        return f"{self.prefix}:versions"

    @property
    def tags(self) -> str:
        """Hash: state topic -> tag of its version."""
        return f"{self.versions}:tags"

    @property
    def nodes(self) -> str:
        """Sorted set: node -> end of its lease, milliseconds of Redis's clock."""
        return f"{self.prefix}:nodes"

    @property
    def deadlines(self) -> str:
        """Sorted set: hold -> when its member leaves, milliseconds of Redis's clock."""
        return f"{self.prefix}:deadlines"

    @property
    def audits(self) -> str:
        """Sorted set: hold -> when its member is next compared with the nodes' holds, milliseconds of Redis's clock."""
        return f"{self.prefix}:audits"

    def witness(self, node: str) -> str:
        """String: number of the last write of that node."""
        return f"{self.prefix}:witness:{node}"

    def holds(self, node: str) -> str:
        """Hash: hold (`topic|phase|member`) -> connections on that node."""
        return f"{self.prefix}:holds:{node}"

    def members(self, topic: str, phase: str) -> str:
        """Sorted set: member -> since when, milliseconds."""
        return f"{self.prefix}:members:{topic}:{phase}"

    def changed(self, index: str) -> str:
        """Sorted set: topic -> the index's version at which it last changed; the newest thousand."""
        return f"{self.prefix}:changed:{index}"

    def busy(self, index: str) -> str:
        """Set: `topic|phase` of each topic under the index that has members in that phase."""
        return f"{self.prefix}:busy:{index}"

    def lineage(self, index: str) -> str:
        """Sorted set: tag -> number, of the newest versions of the index."""
        return f"{self.prefix}:lineage:{index}"

    def edit_lease(self, topic: str) -> str:
        """Hash `holder`, `ends`, `asker`, `answer_by`: who edits, milliseconds of Redis's clock."""
        return f"{self.prefix}:edit_lease:{topic}"

    @property
    def reports(self) -> str:
        """Hash: run of a node -> its last report."""
        return f"{self.prefix}:reports"

    @property
    def reported(self) -> str:
        """Sorted set: run of a node -> when it last reported, milliseconds of Redis's clock."""
        return f"{self.prefix}:reported"

    @property
    def orders(self) -> str:
        """Hash: run of a node -> what staff ordered of it."""
        return f"{self.prefix}:orders"

    def stream(self, topic: str) -> str:
        """Stream: the history of a stream topic; entry `<offset>-0` with `body`, `mark` and `after`."""
        return f"{self.prefix}:stream:{topic}"

    def position(self, topic: str) -> str:
        """Hash `epoch`, `offset`, `mark`: the topic's end; `sequence`, `event`: its last numbered event."""
        return f"{self.prefix}:position:{topic}"

    def seen(self, topic: str) -> str:
        """Sorted set: event id -> its offset, for as long as the history."""
        return f"{self.prefix}:seen:{topic}"
