"""The picture worker: an HTTP service that removes backgrounds. It knows nothing of the gateway in front of it."""

VERSION = "0.1.0"
