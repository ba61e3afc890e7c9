def clamp(x, lo, hi):
    """Limit x to the range lo..hi."""
    return max(lo, min(hi, x))


def mean(values):
    return sum(values) / len(values)
