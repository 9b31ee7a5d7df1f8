"""Feeds of others: fetched within limits, read whole, each alert once."""
