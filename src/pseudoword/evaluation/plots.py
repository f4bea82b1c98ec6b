"""The loss curve of a run as a PNG."""

from collections.abc import Sequence
from pathlib import Path

from pseudoword.evaluation.curves import running_mean
from pseudoword.files import atomic_path


def plot_losses(
    steps: Sequence[int],
    losses: Sequence[float],
    evaluations: Sequence[tuple[int, float]],
    path: Path,
    title: str,
) -> None:
    """Training loss per step (thin), its running mean, and the loss on the fixed batch (dots).

    The loss of single steps swings with the drawn noise levels; the fixed batch shows what is learned.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot(steps, losses, color="#b8c4d6", linewidth=0.8, label="each step")
    axes.plot(steps, running_mean(losses), color="#3b6ea5", linewidth=1.6, label="running mean")
    if evaluations:
        axes.plot(*zip(*evaluations, strict=True), "o-", color="#d2691e", markersize=4, label="fixed batch")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.set_title(title)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")
