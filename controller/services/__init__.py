"""What the centre does: plain functions of a session and a context, run inside `Database.unit_of_work`.

Each validates, decides by a pure rule, stores, writes a deed, and returns frozen values and what goes out on the wire
after the commit. Loa's own errors are raised as `loa.errors` has them.
"""
