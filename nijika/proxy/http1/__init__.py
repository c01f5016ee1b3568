"""HTTP/1.1 towards a worker: one request and one answer at a time on a connection, and nothing that can be read twice.

Source: RFC 9112. The bytes of heads and chunks are read by llhttp; what it lets through beyond the RFC is refused here.
"""
