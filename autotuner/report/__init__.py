"""Reports of a study, and observers that show one while it runs. Its modules load pandas and Plotly when used."""

from autotuner.report.console import print_summary
from autotuner.report.html import write_report
from autotuner.report.tensorboard import TensorBoardObserver
from autotuner.report.terminal import make_progress
from autotuner.report.xlsx import write_workbook

__all__ = ["TensorBoardObserver", "make_progress", "print_summary", "write_report", "write_workbook"]
