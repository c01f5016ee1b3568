"""nijika turns any HTTP worker into a paid API."""
