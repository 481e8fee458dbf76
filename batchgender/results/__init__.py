"""Rows to files and back, and resuming.

For others: `rows.Row` and `rows.make_row`; `results_file.ResultsFile` and `sinks.CsvStream`, which are sinks;
`csv_style.CsvStyle`; `formats.read_csv`.
"""
