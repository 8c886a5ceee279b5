"""A table with gaps, texts and numbers, a network behind scikit-learn's preprocessing, and one ONNX file of both.

pip install "seqc[cpu,skl2onnx]" pandas
python examples/sklearn_pipeline.py [FILE.onnx]
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import seqc as keras
from seqc import layers
from seqc.wrappers import SKLearnClassifier, export_pipeline


def customers(count: int = 600, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Returns made-up customers of a telephone company, and whether they stayed."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "months": rng.integers(1, 72, count),
            "monthly_fee": rng.normal(60, 15, count),
            "contract": rng.choice(["monthly", "yearly", "two years"], count, p=[0.5, 0.3, 0.2]),
            "payment": rng.choice(["card", "transfer", "cheque"], count),
        }
    )
    chance = 2.0 - 0.06 * frame["months"] + 0.03 * (frame["monthly_fee"] - 60) + 1.5 * (frame["contract"] == "monthly")
    left = rng.random(count) < 1 / (1 + np.exp(-chance))
    frame.loc[rng.random(count) < 0.1, "monthly_fee"] = np.nan
    return frame, np.where(left, "left", "stayed")


def network(X: np.ndarray, y: np.ndarray, units: int = 16, rate: float = 0.01) -> keras.Sequential:
    model = keras.Sequential(
        [
            keras.Input(X.shape[1:]),
            layers.Dense(units, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(y.shape[1], activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(rate), "categorical_crossentropy")
    return model


def main(path: str) -> None:
    X, y = customers()
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=0)
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    texts = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = ColumnTransformer(
        [("numbers", numbers, ["months", "monthly_fee"]), ("texts", texts, ["contract", "payment"])]
    )
    net = SKLearnClassifier(network, fit_kwargs={"epochs": 15, "verbose": 0}, random_state=0)
    search = GridSearchCV(
        Pipeline([("columns", columns), ("net", net)]), {"net__model_kwargs": [{"units": 8}, {"units": 32}]}, cv=3
    )
    search.fit(X_train, y_train)
    print(
        f"best {search.best_params_['net__model_kwargs']}, accuracy {search.score(X_test, y_test):.3f} on held-out rows"
    )
    print(export_pipeline(search.best_estimator_, path, X_test, record=True))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "customers.onnx")
