"""The same dashboard's live parts as a team would write them on stock Channels, from its tutorial: to compare with."""
