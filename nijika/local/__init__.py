"""What a machine without anything needs: PostgreSQL of its own, and the demo."""
