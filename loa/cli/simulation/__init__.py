"""A province in virtual time: a real centre and real nodes, weather between them, and what must always hold."""
