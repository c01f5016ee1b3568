"""What is counted: each metric stands with its name, its words and its labels in one of these files, and nowhere else.

They belong to the process, not to the application. Labels come from config.toml, from our own problems and from HTTP's
list of statuses, never from a caller, so that there is a bound on how many there can be.
"""
