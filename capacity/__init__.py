"""The cost of a load, and the resource that is exhausted first, predicted from measured costs before any purchase."""
