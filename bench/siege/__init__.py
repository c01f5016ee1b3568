"""A real `nijika serve` under siege: by slow callers, hostile ones, very many, or a long mixed load; prints figures."""
