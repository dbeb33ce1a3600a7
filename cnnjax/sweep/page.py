"""The report of a sweep as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnjax.sweep import plan, plots, report, show, table
from cnnjax.sweep.record import Sweep

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin-top: 2rem; }
p.under { color: #666; margin-top: .2rem; }
table { border-collapse: collapse; font-size: 13px; width: 100%; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid #e3e3e3;
  font-variant-numeric: tabular-nums; }
th { border-bottom: 2px solid #aaa; } td.word, th.word { text-align: left; }
td:last-child { min-width: 14rem; }
pre { background: #f5f5f5; padding: .8rem; overflow-x: auto; white-space: pre-wrap; }
svg { width: 100%; height: auto; } .wide { overflow-x: auto; }
tr.bad td { color: #888; }
</style></head><body>
<h1>{{ title }}</h1><p class="under">{{ under }}</p>
{% if command %}<h2>The best</h2><p>Trial {{ best.number }}: {{ best_figure }}</p>
<pre>{{ command }}</pre>{% endif %}
{% for heading, words, svg in drawings if svg %}
<h2>{{ heading }}</h2><p class="under">{{ words }}</p>
{{ svg | safe }}{% endfor %}
<h2>Trials</h2><p class="under">Best first; intervals are of 95 %, over the seeds.</p>
<div class="wide"><table><thead><tr><th>trial</th><th class="word">state</th><th>{{ metric }}</th>
{% for field in fields %}<th>{{ field }}</th>{% endfor %}<th>seconds</th>
<th class="word">remark</th></tr></thead><tbody>
{% for row in rows %}<tr{% if row.state != "done" %} class="bad"{% endif %}>
<td>{{ row.number }}</td><td class="word">{{ row.state }}</td><td>{{ row.figure }}</td>
{% for value in row.shown %}<td>{{ value }}</td>{% endfor %}<td>{{ row.seconds }}</td>
<td class="word">{{ row.reason }}</td></tr>
{% endfor %}</tbody></table></div></body></html>
"""


def html(
    folder: Path, sweep: Sweep, found: Sequence[Mapping[str, Any]], shares: Mapping[str, float]
) -> str:
    """Returns the page."""
    import jinja2

    best = table.ranked(sweep, found)
    order = (plan.DONE, plan.RUNNING, plan.PLANNED, plan.PRUNED, plan.FAILED, plan.INFEASIBLE)
    rest = sorted((r for r in found if r not in best), key=lambda r: order.index(r["state"]))
    drawings = (
        ("Parallel coordinates", "A line for each trial that is done; the brighter, the better.",
         plots.drawn(plots.parallel, sweep, found)),
        ("What matters", "Share of the variance that a field explains, by functional ANOVA.",
         plots.drawn(plots.importance, shares)),
        ("Learning curves", "The first seed of each trial; a cross marks where one was pruned.",
         plots.drawn(plots.learning, sweep, report.curves(folder, sweep, found))),
        ("Progress", "What each trial reached, in the order of their numbers.",
         plots.drawn(plots.progress, sweep, found)),
    )  # fmt: skip
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(PAGE).render(
        title=f"Sweep {folder.resolve().name}",
        under=f"{sweep.config['model']['name']} on {sweep.config['data']['name']}; "
        f"{show.counted(found)}; sampler {sweep.sampler}, pruner {sweep.pruner}, "
        f"{sweep.seeds} {'seed' if sweep.seeds == 1 else 'seeds'} per point",
        best=best[0] if best else None,
        best_figure=report.over_seeds(sweep, best[0]) if best else "",
        command=show.command(sweep, best[0]["values"], "runs/best")
        if best and not sweep.population
        else "",
        drawings=drawings,
        metric=sweep.metric,
        fields=[d.field for d in sweep.space.dimensions],
        rows=[shown(sweep, row) for row in (*best, *rest)],
    )


def shown(sweep: Sweep, row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a trial as the page's table has it."""
    values = [row["values"][d.field] for d in sweep.space.dimensions]
    figure = show.figure(sweep, row["value"])
    return {
        "number": row["number"],
        "state": row["state"],
        "figure": report.over_seeds(sweep, row) if row["state"] == plan.DONE else figure,
        "shown": [f"{v:.4g}" if isinstance(v, float) else str(v) for v in values],
        "seconds": f"{row['seconds']:.1f}",
        "reason": f"repeats {row['repeats']}" if "repeats" in row else row.get("reason", ""),
    }
