"""The promises, kept over real sockets."""
