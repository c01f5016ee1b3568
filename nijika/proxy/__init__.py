"""The streaming core: one exchange between a caller and a worker. It knows no price and no user."""
