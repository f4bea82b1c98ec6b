"""The command line: one file per command group; nothing here loads torch before a command runs."""
