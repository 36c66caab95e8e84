"""A Channels project as a stranger has it: the tutorial's chat, async and sync, which knows nothing of tidewire."""
