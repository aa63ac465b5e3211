"""Settings: one table, from which flags, variables, YAML keys, help and checks are derived."""
