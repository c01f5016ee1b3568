"""What every page for a browser needs: templates and their security, the visitor's cookie, forms, charts, tables."""
