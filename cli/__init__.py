"""The `wyckoffkit` command."""
