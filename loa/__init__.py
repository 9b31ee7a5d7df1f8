"""Loa: a broadcast controller for commune radio. This package holds what every room shares."""
