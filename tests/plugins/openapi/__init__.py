"""The reference of what programs can call, as a document and as a page."""
