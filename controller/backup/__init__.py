"""Backups of a centre while it runs: one file, encrypted to a key that lies offline, whole or not there."""
