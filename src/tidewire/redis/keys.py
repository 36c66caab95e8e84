"""All Redis key names, built in one place. Each starts with the configured prefix."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Keys:
    """Key names under one prefix. Topics and phases must not contain `|`."""

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
        """Sorted set: presence entry -> time at which its member leaves, milliseconds of Redis's clock."""
        return f"{self.prefix}:deadlines"

    @property
    def audits(self) -> str:
        """Sorted set: presence entry -> time of its next audit against the nodes' entries, ms of Redis's clock."""
        return f"{self.prefix}:audits"

    def witness(self, node: str) -> str:
        """String: number of the node's last write."""
        return f"{self.prefix}:witness:{node}"

    def node_connections(self, node: str) -> str:
        """Hash: presence entry (`topic|phase|member`) -> connections on that node."""
        return f"{self.prefix}:connections:{node}"

    def members(self, topic: str, phase: str) -> str:
        """Sorted set: member -> time of joining, milliseconds."""
        return f"{self.prefix}:members:{topic}:{phase}"

    def changed(self, index: str) -> str:
        """Sorted set: topic -> version of the index at the topic's last change; the newest thousand."""
        return f"{self.prefix}:changed:{index}"

    def busy(self, index: str) -> str:
        """Set: `topic|phase` of each topic under the index that has members in that phase."""
        return f"{self.prefix}:busy:{index}"

    def lineage(self, index: str) -> str:
        """Sorted set: tag -> number, of the newest versions of the index."""
        return f"{self.prefix}:lineage:{index}"

    def edit_lease(self, topic: str) -> str:
        """Hash `holder`, `ends`, `asker`, `answer_by`: the edit lease, milliseconds of Redis's clock."""
        return f"{self.prefix}:edit_lease:{topic}"

    @property
    def reports(self) -> str:
        """Hash: run of a node -> its last report."""
        return f"{self.prefix}:reports"

    @property
    def report_times(self) -> str:
        """Sorted set: run of a node -> time of its last report, milliseconds of Redis's clock."""
        return f"{self.prefix}:report_times"

    @property
    def commands(self) -> str:
        """Hash: run of a node -> the pending command of staff for it."""
        return f"{self.prefix}:commands"

    def stream(self, topic: str) -> str:
        """Stream: the history of a stream topic; entry `<offset>-0` with `body`, `mark` and `after`."""
        return f"{self.prefix}:stream:{topic}"

    def position(self, topic: str) -> str:
        """Hash `epoch`, `offset`, `mark`: the topic's end; `sequence`, `event`: its last numbered event."""
        return f"{self.prefix}:position:{topic}"

    def seen(self, topic: str) -> str:
        """Sorted set: event id -> its offset, kept for as long as the history."""
        return f"{self.prefix}:seen:{topic}"
