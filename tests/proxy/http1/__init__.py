"""The client that workers are asked through, against sockets that say exactly what a test wants."""
