# %% [markdown]
# # A network in scikit-learn: preprocessing, a search, and one file of all
#
# A telephone company wants to know which customers will leave. scikit-learn fills gaps, scales numbers and spreads
# categories; the network behind it is an estimator like any other, so that a search can try its sizes. In the end the
# whole pipeline, preprocessing included, is one ONNX file.
#
# Needs `pip install "./runtime[cpu]" ".[cpu,plot,skl2onnx]" pandas`.

# %%
import argparse
from pathlib import Path

import numpy as np

import seqc as keras
import seqc_runtime
from seqc import layers

try:
    import matplotlib.pyplot as plt
    import pandas as pd
    import skl2onnx  # noqa: F401  (export_pipeline needs it)
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.model_selection import GridSearchCV, train_test_split
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
except ImportError as error:
    text = f'This example needs {error.name}, too: pip install "seqc[plot,skl2onnx]" pandas'
    raise SystemExit(text) from None
from seqc.wrappers import SKLearnClassifier, export_pipeline

options = argparse.ArgumentParser()
options.add_argument("--out", type=Path, default=Path("build/examples"), help="folder for the picture and the file")
out = options.parse_known_args()[0].out
out.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# The customers are made up, by a rule that the last picture can be held against: who has been there for long stays, and
# who may leave each month leaves sooner. A tenth of the fees are missing.

# %%
rng = np.random.default_rng(0)
count = 4000
X = pd.DataFrame(
    {
        "months": rng.integers(1, 72, count),
        "monthly_fee": rng.normal(60, 15, count),
        "contract": rng.choice(["monthly", "yearly", "two years"], count, p=[0.5, 0.3, 0.2]),
        "payment": rng.choice(["card", "transfer", "cheque"], count),
    }
)


def chance(months: np.ndarray, fee: np.ndarray | float, contract: np.ndarray) -> np.ndarray:
    """Returns the chance with which a customer leaves."""
    return 1 / (1 + np.exp(-(2 - 0.06 * months + 0.03 * (fee - 60) + 1.5 * (contract == "monthly"))))


y = np.where(rng.random(count) < chance(X["months"], X["monthly_fee"], X["contract"]), "left", "stayed")
X.loc[rng.random(count) < 0.1, "monthly_fee"] = np.nan
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=0)

# %% [markdown]
# `SKLearnClassifier` asks for the network once it knows how many columns there are, and how many classes. The search
# trains each size on two thirds of the rows and measures on the others, three times.


# %%
def network(X: np.ndarray, y: np.ndarray, units: int = 16) -> keras.Sequential:
    """Returns a compiled network for the columns of X and the one-hot classes of y."""
    model = keras.Sequential(
        [
            keras.Input(X.shape[1:]),
            layers.Dense(units, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(y.shape[1], activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy")
    return model


numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
texts = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
columns = ColumnTransformer(
    [("numbers", numbers, ["months", "monthly_fee"]), ("texts", texts, ["contract", "payment"])]
)
net = SKLearnClassifier(network, fit_kwargs={"epochs": 8, "verbose": 0}, random_state=0)
search = GridSearchCV(
    Pipeline([("columns", columns), ("net", net)]), {"net__model_kwargs": [{"units": 4}, {"units": 32}]}, cv=3
)
search.fit(X_train, y_train)
best = search.best_params_["net__model_kwargs"]
print(f"best {best}, accuracy {search.score(X_test, y_test):.3f} on rows kept aside")

# %% [markdown]
# One file of it all, compared with the pipeline at the rows kept aside before it is written. It takes a customer as the
# table has them, an input for each column.

# %%
receipt = export_pipeline(search.best_estimator_, out / "customers.onnx", X_test)
print("\n".join(line for line in str(receipt).splitlines() if line.startswith(("input", "output", "verified"))))

# %% [markdown]
# The file is asked what it thinks of customers of one to 72 months, with the fee of 60 and each contract. Dotted is the
# rule that made the customers.

# %%
served = seqc_runtime.load(out / "customers.onnx")
figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
months = np.arange(1, 73)
for contract, colour in (("monthly", "#c0504d"), ("two years", "#2f6db3")):
    row = {"months": months, "monthly_fee": np.full(72, 60.0), "contract": [contract] * 72, "payment": ["card"] * 72}
    kinds = {"months": "float32", "monthly_fee": "float32", "contract": "object", "payment": "object"}
    answers = served.predict({name: np.array(x, kinds[name])[:, np.newaxis] for name, x in row.items()}, named=True)
    axis.plot(months, answers["probabilities"][:, 0], color=colour, label=f"{contract}: the file")
    axis.plot(months, chance(months, 60, np.array(contract)), ":", color=colour, label=f"{contract}: the rule")
axis.set(xlabel="months as a customer", ylabel="chance of leaving", ylim=(0, 1))
axis.spines[["top", "right"]].set_visible(False)
axis.legend(frameon=False)
figure.savefig(out / "sklearn_pipeline.png", dpi=110)
