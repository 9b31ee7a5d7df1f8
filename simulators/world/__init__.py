"""A world in virtual time: one loop, one seed, no threads. Nodes, protocol, rules and services are the real ones."""
