"""The sweep report: facts read from a sweep's study, Optuna's plots of them, and one HTML page.

Imports from `sweeping`, `recording`, `drawing` and the layers below; `commands/report.py` imports `reporting.report`.
"""
