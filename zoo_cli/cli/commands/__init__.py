"""One module a command: parse, read, decide, show, act, tell."""
