"""The command, `loa`: the top of the house. It may import every room; nothing imports it."""
