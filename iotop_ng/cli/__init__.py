"""The command line: one module per job. Nothing heavy is imported at module level."""
