"""Python's cyclic garbage collector in a ws process: exempts the objects that were created at the start."""

import gc


def freeze_startup_objects() -> None:
    """Exempt all objects created so far from garbage collection, for the life of the process.

    A closed connection is a cycle of about fifteen objects, and the oldest generation is collected only after growing
    by a quarter. With the 300,000 objects of Django and Twisted in it, thousands of closed connections accumulate, so
    that memory seems to leak, and the collection then stops the event loop for a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    # The collection resets the number of long-lived objects on which the threshold of the oldest generation depends.
    gc.collect()
