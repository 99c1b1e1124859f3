"""Is a spread over slots even? Pearson's test: chi-square of the counts against the weights."""

# Values that chance exceeds once in a million, by degrees of freedom: a failure is no bad luck.
BOUNDS = {1: 23.93, 2: 27.63, 3: 30.66, 4: 33.38, 5: 35.89, 6: 38.26, 7: 40.52}


def chi_square(counts, weights):
    """counts: a number for each slot; weights: their shares."""
    total, whole = sum(counts.values()), sum(weights.values())
    expected = {slot: total * weight / whole for slot, weight in weights.items() if weight}
    return sum((counts.get(slot, 0) - value) ** 2 / value for slot, value in expected.items())


def check_even(homes, weights):
    """homes: the slot of each key. weights: {slot: share}."""
    counts = {slot: 0 for slot in weights}
    for slot in homes:
        counts[slot] += 1
    assert all(count == 0 for slot, count in counts.items() if not weights[slot]), counts
    degrees = sum(1 for weight in weights.values() if weight) - 1
    assert chi_square(counts, weights) < BOUNDS[degrees], counts
