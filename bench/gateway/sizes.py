"""How much is sent and answered, by the last part of the path; what both sides of a contender must agree on."""

MIB = 2**20

BODY_BYTES = 10 * 1024
"""/api/small takes this much,"""

SMALL_BYTES = 1024
"""and gives this much."""

LARGE_BYTES = 2 * MIB
"""/api/large, both ways."""

TRANSFER_BYTES = 200 * MIB
"""/api/upload takes it and gives little, /api/download the other way round."""

EVENT = b"data: tick\n\n"
EVENT_SECONDS = 0.05
"""/api/events gives two events, and waits so long in between."""
