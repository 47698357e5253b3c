"""The baseline that everything is held against: hashed word 1-2-grams and character 3-4-grams, logistic regression."""

import numpy as np
from scipy.sparse import hstack
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier

BITS = 18
LONGEST = 8000  # characters; a baseline reads the beginning of a very long text


def vectorise(texts):
    texts = [t[:LONGEST] for t in texts]
    words = HashingVectorizer(
        ngram_range=(1, 2), n_features=2**BITS, alternate_sign=False, token_pattern=r"(?u)\b\w+\b", norm="l2", dtype=np.float32
    )
    chars = HashingVectorizer(
        analyzer="char_wb", ngram_range=(3, 4), n_features=2**BITS, alternate_sign=False, norm="l2", dtype=np.float32
    )
    return hstack([words.transform(texts), chars.transform(texts)], format="csr")


class Baseline:
    def __init__(self, seed=1, fast=False):
        self.model = (
            SGDClassifier("log_loss", alpha=1e-6, max_iter=12, random_state=seed, average=True)
            if fast
            else LogisticRegression(C=10, solver="liblinear", random_state=seed)
        )

    def fit(self, features, labels, weights=None):
        self.model.fit(features, labels, sample_weight=weights)
        return self

    def score(self, features):
        return self.model.decision_function(features)
