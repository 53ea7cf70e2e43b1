"""Makes the pages of docs/reference/ from the code and its schemas: one module for each page."""
