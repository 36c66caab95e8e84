"""tidewire: realtime Django on Daphne and Channels, for production."""

__version__ = "0.1.0"
