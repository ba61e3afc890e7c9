"""Compares functions of docks-statistics with independent implementations over random arguments.

Usage: reference_statistics.py EVALUATE, a program that reads lines of a name and arguments and prints numbers.
"""

import subprocess
import sys

import numpy as np
import statsmodels.api as sm
from scipy import special, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

CASES = 200
TOLERANCE = 1e-9
rng = np.random.default_rng(20260101)
cases = []


def add(name, groups, expected):
    """Adds a case: a function, groups of arguments, and the numbers that it must give."""
    cases.append((name, groups, np.atleast_1d(np.asarray(expected, dtype=float))))


def clustered_error(groups):
    """The standard error of a mean with clusters, as ordinary least squares on a constant has it."""
    values = np.concatenate(groups)
    labels = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    model = sm.OLS(values, np.ones(len(values)))
    fit = model.fit(cov_type="cluster", cov_kwds={"groups": labels, "use_correction": True})
    return float(fit.bse[0])


def permutation(samples, kind):
    test = stats.permutation_test(
        samples,
        lambda *groups, axis: np.mean(groups[0], axis=axis) - (np.mean(groups[1], axis=axis) if len(groups) > 1 else 0),
        permutation_type=kind,
        vectorized=True,
        n_resamples=np.inf,
        alternative="two-sided",
    )
    # Its two-sided p-value doubles the smaller tail; both tails of the absolute value are meant here.
    found = abs(test.statistic)
    return float(np.mean(np.abs(test.null_distribution) >= found - 1e-9))


def jeffreys(rate, attempts):
    a, b = rate * attempts + 0.5, (1 - rate) * attempts + 0.5
    return (0.0 if rate == 0 else stats.beta.ppf(0.025, a, b), 1.0 if rate == 1 else stats.beta.ppf(0.975, a, b))


def solved_on_these_tasks(pairs):
    """Difference, interval and p-value on exactly these tasks, of attempts that are solved or not."""
    sides = []
    for at in (0, 1):
        groups = [pair[at] for pair in pairs]
        rate, count, size = np.mean([g.mean() for g in groups]), len(groups), sum(map(len, groups))
        chance = rate * (1 - rate)
        variances = [np.var(g, ddof=1) / len(g) if len(g) > 1 else chance for g in groups]
        variance = np.mean([*variances, chance * count / size]) / count
        sides.append((rate, jeffreys(rate, chance / variance if variance > 0 else size)))
    (before, (low, high)), (after, (low_after, high_after)) = sides
    interval = (
        after - before - np.hypot(after - low_after, high - before),
        after - before + np.hypot(high_after - after, before - low),
    )
    # All sums of differences, each with its probability.
    sums = {0.0: 1.0}
    for one, two in pairs:
        n, m = len(one), len(two)
        solved = int(one.sum() + two.sum())
        several = {}
        for of_two in range(max(0, solved - n), min(solved, m) + 1):
            change, chance = of_two / m - (solved - of_two) / n, stats.hypergeom.pmf(of_two, n + m, solved, m)
            for total, before_it in sums.items():
                key = round(total + change, 9)
                several[key] = several.get(key, 0.0) + before_it * chance
        sums = several
    found = abs(sum(two.mean() - one.mean() for one, two in pairs))
    p = sum(chance for total, chance in sums.items() if abs(total) >= found - 1e-6)
    return [after - before, max(interval[0], -1), min(interval[1], 1), min(p, 1)]


def means_on_these_tasks(pairs, scale):
    """Difference of means, or ratio, with the interval of Welch and Satterthwaite over all tasks and sides."""
    cells = [cell for pair in pairs for cell in pair]
    on_scale = np.log if scale == "ratio" else lambda value: value
    value = np.mean([on_scale(two.mean()) - on_scale(one.mean()) for one, two in pairs])
    relative = [cell.mean() ** 2 if scale == "ratio" else 1.0 for cell in cells]
    parts = np.array([np.var(cell, ddof=1) / len(cell) / by for cell, by in zip(cells, relative, strict=True)])
    degrees = parts.sum() ** 2 / (parts**2 / np.array([len(cell) - 1 for cell in cells])).sum()
    half = stats.t.ppf(0.975, degrees) * np.sqrt(parts.sum()) / len(pairs)
    ends = np.array([value, value - half, value + half])
    return np.exp(ends) if scale == "ratio" else ends


for _ in range(CASES):
    x, degrees = rng.normal(scale=3), float(rng.integers(1, 2_000))
    p = float(rng.uniform(0.001, 0.999))
    add("normal_probability", [[x]], stats.norm.cdf(x))
    add("normal_quantile", [[p]], stats.norm.ppf(p))
    add("t_probability", [[x, degrees]], stats.t.cdf(x, degrees))
    add("t_two_sided", [[x, degrees]], 2 * stats.t.sf(abs(x), degrees))
    add("t_quantile", [[p, degrees]], stats.t.ppf(p, degrees))
    a, b = rng.uniform(0.5, 300, size=2)
    add("beta_quantile", [[p, a, b]], stats.beta.ppf(p, a, b))

    n = int(rng.integers(2, 60))
    c = int(rng.integers(0, n + 1))
    k = int(rng.integers(1, n + 1))
    add("fair_coin_at_most", [[c, n]], stats.binom.cdf(c, n, 0.5))
    add("pass_at_k", [[n, c, k]], 1 - special.comb(n - c, k, exact=True) / special.comb(n, k, exact=True))
    add("pass_hat_k", [[n, c, k]], special.comb(c, k, exact=True) / special.comb(n, k, exact=True))
    add("flip_rate", [[n, c]], c * (n - c) / special.comb(n, 2, exact=True))
    add("wilson", [[c / n, n]], proportion_confint(c, n, method="wilson"))

    better, worse = (int(m) for m in rng.integers(0, 40, size=2))
    table = [[5, better], [worse, 7]]
    add("mcnemar", [[better, worse, better + worse + 12]], mcnemar(table, exact=True).pvalue)
    m = int(rng.integers(1, 60))
    d = int(rng.integers(0, m + 1))
    add("fisher", [[c, n, d, m]], stats.fisher_exact([[c, n - c], [d, m - d]]).pvalue)
    values = rng.uniform(size=int(rng.integers(1, 30)))
    add("holm", [values], multipletests(values, method="holm")[1])

    differences = rng.normal(size=int(rng.integers(2, 100)))
    t = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    add("paired_t", [differences], [t.low, t.high])
    before = rng.lognormal(size=int(rng.integers(2, 60)))
    after = before * rng.lognormal(sigma=0.3, size=len(before))
    t = stats.ttest_rel(np.log(after), np.log(before)).confidence_interval(0.95)
    add("paired_ratio", [before, after], np.exp([np.mean(np.log(after / before)), t.low, t.high]))

    groups = [rng.integers(0, 2, size=int(rng.integers(1, 6))).astype(float) for _ in range(int(rng.integers(2, 40)))]
    mean = np.concatenate(groups).mean()
    add("rate", groups, [mean, clustered_error(groups)])
    rewards = [rng.uniform(size=int(rng.integers(1, 6))) for _ in range(int(rng.integers(2, 40)))]
    add("clustered", rewards, clustered_error(rewards))

    # A task that was tried twice at least says how much attempts vary.
    sizes = [(2, 3), *rng.integers(1, 6, size=(int(rng.integers(1, 12)), 2))]
    chances = rng.uniform(size=len(sizes))
    pairs = [[rng.binomial(1, p, size=int(n)).astype(float) for n in size] for p, size in zip(chances, sizes, strict=True)]
    add("these_tasks", [cell for pair in pairs for cell in pair], solved_on_these_tasks(pairs))

for _ in range(CASES // 10):
    # Each draws ways to divide attempts as well.
    sizes = [(2, 3), *rng.integers(1, 6, size=(int(rng.integers(1, 12)), 2))]
    pairs = [[rng.normal(loc=5, size=int(n) + 1) for n in size] for size in sizes]
    add("these_tasks", [cell for pair in pairs for cell in pair], means_on_these_tasks(pairs, "difference"))
    welch = stats.ttest_ind(pairs[0][1], pairs[0][0], equal_var=False).confidence_interval(0.95)
    add("these_tasks", pairs[0], [pairs[0][1].mean() - pairs[0][0].mean(), welch.low, welch.high])
    pairs = [[rng.lognormal(mean=2, sigma=0.3, size=int(n) + 1) for n in size] for size in sizes]
    add("these_tasks_ratio", [cell for pair in pairs for cell in pair], means_on_these_tasks(pairs, "ratio"))

    few = rng.normal(size=int(rng.integers(2, 13)))
    add("sign_flip", [few], permutation((few,), "samples"))
    attempts = rng.integers(1, 6, size=int(rng.integers(2, 13)))
    shares = np.array([rng.integers(0, n + 1) / n - rng.integers(0, n + 1) / n for n in attempts])
    add("whole_sign_flip", [shares, attempts], permutation((shares,), "samples"))
    one, two = rng.normal(size=int(rng.integers(2, 7))), rng.normal(size=int(rng.integers(2, 7)))
    add("two_samples", [one, two], permutation((one, two), "independent"))

lines = [f"{name} {';'.join(' '.join(repr(float(v)) for v in group) for group in groups)}" for name, groups, _ in cases]
found = subprocess.run(sys.argv[1:], input="\n".join(lines) + "\n", text=True, capture_output=True, check=True)
different, worst = 0, {}
for (name, _, expected), line, result in zip(cases, lines, found.stdout.splitlines(), strict=True):
    numbers = np.array([float(number) for number in result.split()])
    error = float(np.max(np.abs(numbers - expected) / np.maximum(1.0, np.abs(expected))))
    worst[name] = max(worst.get(name, 0.0), error)
    if not error <= TOLERANCE:
        different += 1
        print(f"DIFFERENT  {line[:200]}: {numbers}, not {expected}")
for name, error in worst.items():
    print(f"{name:20} differs by at most {error:.1e}")
print(f"{len(cases)} compared, {different} different")
sys.exit(different > 0)
