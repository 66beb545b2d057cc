"""The table and the plot."""

import csv
import math

CAUSAL = ("perplexity", "kl_mean", "kl_error", "kl_99", "same_top", "bleu", "rouge_l", "same_continuations", "accuracy",
          "same_answers", "positions", "text_seconds")
ENCODER = ("cosine_mean", "cosine_least", "same_nearest", "sentences")
ALWAYS = ("load_seconds", "run_seconds", "peak_bytes")


def scores(one, original):
    """What follows from what a variant and the original said."""
    if "continuations" not in one:
        return {}
    import sacrebleu
    from rouge_score.rouge_scorer import RougeScorer
    scorer = RougeScorer(["rougeL"])
    pairs = list(zip(original["continuations"], one["continuations"]))

    def positive(leaning):
        """Half of the sentences are: those that lean to it most. A model's leaning to one word does not count."""
        middle = sorted(leaning)[len(leaning) // 2]
        return [value >= middle for value in leaning]

    said = positive(one["leaning"])
    return {"perplexity": math.exp(one["loss"]),
            "bleu": sacrebleu.corpus_bleu([b for _, b in pairs], [[a for a, _ in pairs]]).score,
            "rouge_l": 100 * mean(scorer.score(a, b)["rougeL"].fmeasure for a, b in pairs),
            "same_continuations": mean(a == b for a, b in pairs),
            "accuracy": mean(a == b for a, b in zip(said, one["positive"])),
            "same_answers": mean(a == b for a, b in zip(said, positive(original["leaning"])))}


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def rows_of(results, original):
    """One row a variant; `results` begins with the original."""
    first, rows = results[0], []
    for one in results:
        row = {"name": one["name"], "bits": one["bits"] / original.weights,
               "bits_matrices": one["matrix_bits"] / original.matrix_weights, **one, **scores(one, first)}
        row["bits"] = one["bits"] / original.weights
        rows.append({key: row[key] for key in columns(original)})
    return rows


def columns(original):
    return ("name", "bits", "bits_matrices", *(ENCODER if original.encoder else CAUSAL), *ALWAYS)


def write_csv(path, rows):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.7g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)


def show(rows):
    """The columns that a person looks at first."""
    shown = [c for c in rows[0] if c not in ("kl_error", "positions", "sentences", "text_seconds")]
    cells = [[c.removesuffix("_seconds").replace("peak_bytes", "peak_GB") for c in shown]]
    for row in rows:
        cells.append([row["name"]] + [f"{row[c] / (1e9 if c == 'peak_bytes' else 1):.5g}" for c in shown[1:]])
    widths = [max(map(len, column)) for column in zip(*cells)]
    for line in cells:
        print("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths))))


def plot(path, rows, encoder, model):
    """Distance from the original against bits a weight. Names that begin with the same word are one line."""
    import matplotlib
    matplotlib.use("svg" if path.suffix == ".svg" else "agg")
    matplotlib.rcParams["svg.hashsalt"] = "weightfs"
    from matplotlib import pyplot

    def distance(row):
        return 1 - row["cosine_mean"] if encoder else row["kl_mean"]

    series = {}
    for row in rows[1:]:
        if distance(row) > 0:
            series.setdefault(row["name"].replace(":", " ").split()[0], []).append(row)
    figure, axes = pyplot.subplots(figsize=(9, 6), layout="constrained")
    for number, (name, points) in enumerate(series.items()):
        points.sort(key=lambda row: row["bits"])
        x, y = [p["bits"] for p in points], [distance(p) for p in points]
        axes.plot(x, y, marker="osD^vPX*"[number % 8], label=name, linewidth=1)
        for point, a, b in zip(points, x, y):
            axes.annotate(point["name"][len(name):].lstrip(" :") or name, (a, b), textcoords="offset points",
                          xytext=(4, 4), fontsize=7)
    axes.set_yscale("log")
    axes.set_xlabel("bits a weight, whole file")
    axes.set_ylabel("1 - mean cosine of embeddings" if encoder else "mean KL divergence from the original, nats")
    axes.set_title(model)
    axes.grid(True, which="both", linewidth=0.3)
    if series:
        axes.legend()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
