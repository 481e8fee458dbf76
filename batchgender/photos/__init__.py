"""Photos: where they are, the labels of their folders, and their pixels."""
