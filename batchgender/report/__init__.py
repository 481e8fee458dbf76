"""Rows to figures, and figures to text and pages.

For others: `counts.RowCounts` makes `figures.Figures`; `text.report_text`, `text.summary_text`, `files.write_report`
(a page by `page.report_page`); `compare_results.compare_results`; `prevalence.estimate_prevalence`; `statistics` for
formulas.
"""
