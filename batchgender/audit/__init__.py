"""Labels and photos looked over: labels that the model doubts, and pictures that stand in several places.

For others: `audit.audit`, `audit_text.audit_text`, `relabel_sheet.write_relabel_sheet`. Needs the extra `audit`.
"""
