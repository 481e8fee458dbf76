"""Rows to files and back, and resuming.

For others: `rows.Row` and `rows.make_row`; `open_sink.open_sink`, and `sinks.CsvStream`; `csv_style.CsvStyle`;
`read_results.read_results` and `answers.read_answers`.
"""
