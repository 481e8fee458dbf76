"""Photos into folders by what was predicted of them.

For others: `sort.sort_photos`, one whole run, and `sort.sorted_counts`.
"""
