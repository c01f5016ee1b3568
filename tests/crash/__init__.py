"""The whole gateway under kill -9, database crashes, pauses, a failing worker and callers who hang up: does money add up?"""
