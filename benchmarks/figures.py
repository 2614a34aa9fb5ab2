"""Summaries: minimum, median and maximum, and the ratio to the stock handler."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One measured quantity of both sides, taken in turns.

    Attributes:
        name: What is measured, with its unit.
        ours: Samples.
        stock: Samples, as many, each taken right beside its counterpart.
        mark: Largest acceptable median ratio; None when there is no mark.
        limit: Largest acceptable median of ours, for what does not hang on the machine; None when there is none.
    """

    name: str
    ours: list[float]
    stock: list[float]
    mark: float | None = None
    limit: float | None = None

    @property
    def ratios(self) -> list[float]:
        """Ours by stock, pair by pair: what slows the machine down for a while slows both."""
        return [ours / stock for ours, stock in zip(self.ours, self.stock, strict=True)]

    @property
    def missed(self) -> bool:
        """True when the median ratio is over the mark, or our median over the limit."""
        over_mark = self.mark is not None and median(self.ratios) > self.mark
        return over_mark or (self.limit is not None and median(self.ours) > self.limit)

    @property
    def aim(self) -> str:
        """The mark or the limit in words, and whether it is met; empty when there is neither."""
        if self.mark is None and self.limit is None:
            return ""
        wanted = f"<= {self.mark}" if self.mark is not None else f"ours <= {self.limit}"
        return f"{wanted} {'missed' if self.missed else 'met'}"

    def describe(self) -> dict[str, object]:
        """Return the figure as JSON values."""
        return {
            "name": self.name,
            "ours": _summary(self.ours),
            "stock": _summary(self.stock),
            "ratio": _summary(self.ratios),
            "mark": self.mark,
            "limit": self.limit,
            "met": not self.missed if self.aim else None,
            "samples": len(self.ours),
        }


def _summary(samples: list[float]) -> dict[str, float]:
    return {"min": round(min(samples), 3), "median": round(median(samples), 3), "max": round(max(samples), 3)}


def table(figures: list[Figure]) -> str:
    """Return the figures as a Markdown table; each cell is minimum / **median** / maximum."""
    lines = ["| what | n | Offload | stock handler | ratio | mark |", "|---|---|---|---|---|---|"]
    for figure in figures:
        digits = 1 if min(figure.ours) >= 1 else 2
        cells = (_cell(figure.ours, digits), _cell(figure.stock, digits), _cell(figure.ratios, 2))
        lines.append(f"| {figure.name} | {len(figure.ours)} | {' | '.join(cells)} | {figure.aim} |")
    return "\n".join(lines)


def _cell(samples: list[float], digits: int) -> str:
    if min(samples) == max(samples):
        return f"**{samples[0]:.{digits}f}**"
    return f"{min(samples):.{digits}f} / **{median(samples):.{digits}f}** / {max(samples):.{digits}f}"
