"""The controller's end of the wire: what leaves, what comes in, and what is still owed."""
