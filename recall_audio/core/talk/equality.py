"""How evenly talk is spread over everyone present, silent people among them.

References: C. Gini, Variabilità e mutabilità, 1912; the factor N/(N − 1): G. Deltas, The small-sample bias
of the Gini coefficient, Review of Economics and Statistics 85(1), 2003; entropy over ln N: E. C. Pielou's
evenness, 1966.
"""

import math
from collections.abc import Sequence

from recall_audio.model.talk import Equality

ALONE = "one participant has nobody to share with"
NOBODY = "nobody is present"
SILENT = "nobody spoke"


def measure_equality(talk: Sequence[int]) -> Equality:
    """Gini coefficient and normalised entropy of everyone's talk.

    Args:
        talk: samples (or any one unit) of speech of each participant, zeros included.

    The sums are integers, and every figure one division: a silent person added never lowers the normalised
    Gini, to the last bit.
    """
    n, total = len(talk), sum(talk)
    silent = sum(t == 0 for t in talk)
    if total == 0:
        why = SILENT if n else NOBODY
        return Equality(
            None, None, None, n, silent, dict.fromkeys(("gini", "gini_normalised", "entropy"), why)
        )
    # Σ_i Σ_j |T_i − T_j| of sorted values: each counts (2i + 1 − N) times, and twice.
    differences = 2 * sum((2 * i + 1 - n) * t for i, t in enumerate(sorted(talk)))
    gini = differences / (2 * n * total)
    if n == 1:
        return Equality(gini, None, None, n, silent, dict.fromkeys(("gini_normalised", "entropy"), ALONE))
    shares = [t / total for t in talk if t]
    entropy = -math.fsum(p * math.log(p) for p in shares) / math.log(n)
    return Equality(gini, differences / (2 * (n - 1) * total), min(abs(entropy), 1.0), n, silent)
