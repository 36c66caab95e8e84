"""What Python's cyclic garbage collector looks at in a ws process: what came after the start."""

import gc


def leave_start_up() -> None:
    """Take everything that was loaded so far out of the collector's sight, for the life of the process.

    A closed connection is a cycle of some fifteen objects, and the oldest generation is collected once it grew by a
    quarter. Beside the 300,000 objects of Django and Twisted that is thousands of closed connections late, so that
    memory seems to leak, and then stops the loop for a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    # The collector learns how much there is to look at from a collection: nothing yet.
    gc.collect()
