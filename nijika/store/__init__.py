"""What PostgreSQL keeps beside the money: one noun a file, each query inside the function that runs it."""
