"""The clock that wakes us: APScheduler holding exactly one job, the next due instant of our own tables."""
