"""Boxes on a wire behind a station."""
