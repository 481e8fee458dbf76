"""A page to classify photos with, in a browser; it needs the extra `ui`.

For others: `server.serve`.
"""
