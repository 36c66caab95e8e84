"""The live parts of the same dashboard on stock Channels, written after its tutorial, for comparison."""
