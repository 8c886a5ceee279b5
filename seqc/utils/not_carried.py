"""Names of Keras, of now and of before, that seqc lacks: what each is, why it is not here, what to take instead.

Read only when somebody asks for one of them, and for the table in docs/from-keras.md.
"""

from __future__ import annotations

QUANTIZED = (
    "seqc trains and predicts in floats: train in float32 and quantize the exported file, with `seqc quantize` or "
    "seqc.export.quantize."
)
_ONE_MACHINE = "seqc trains on the processors of one machine, all of whose cores it uses by itself: leave it out."
_PUBLIC = "It is inside Keras: take the public name, which is here where Keras has it."
_KERAS_2 = "It is of Keras 2, and Keras 3 has it no more:"
_ESTIMATORS = f"{_KERAS_2} TensorFlow's estimators are gone, too. Make a seqc.Model and call fit."
_SETTLED = f"{_KERAS_2} what was on trial there is in"
_SESSIONS = f"{_KERAS_2} there are no sessions; seqc.utils.clear_session() resets names."
_PHASES = f"{_KERAS_2} a layer's call is told by `training=`, model(x, training=True)."
_CUDNN = f"{_KERAS_2} seqc.layers.LSTM and GRU read its weights, from files, too."
_LOCAL = f"{_KERAS_2} a Layer of your own does it with seqc.ops.image.extract_patches and seqc.ops.einsum."
_FOR_FILES = "It is kept in Keras for files of old versions: seqc.models.load_model reads these."
_QUEUES = f"{_KERAS_2} fit reads a seqc.utils.PyDataset, with `workers`."
_NO_COMPLEX = "which no tensor of seqc holds:"

# By the module in which Keras has them, "" for the top.
NOT_CARRIED: dict[str, dict[str, str]] = {
    "": {
        "Function": "It computes from symbols to symbols, which a model does here: seqc.Model(inputs, outputs).",
        "Operation": "It is the base of layers, and of functions as Keras keeps them between layers: write a "
        "seqc.layers.Layer, or a function of seqc.ops.",
        "Quantizer": f"It quantizes weights in memory. {QUANTIZED}",
        "StatelessScope": "It keeps what a call assigns apart from the variables, for JAX: here "
        "model.stateless_call(...) and layer.stateless_call(...) give the new states.",
        "StatelessCall": "It is not in Keras 3.15 either: model.stateless_call(...) gives results and new states.",
        "SymbolicScope": "It is inside Keras, for finding out shapes: here layer.compute_output_spec(...) does that.",
        "distillation": "It trains a small model on what a large one says: write `compute_loss` of a Model, which "
        "calls the large one.",
        "distribution": f"It spreads models and data over accelerators. {_ONE_MACHINE}",
        "dtensor": f"It spread models over accelerators in TensorFlow. {_ONE_MACHINE}",
        "legacy": _FOR_FILES,
        "quantizers": f"They quantize weights in memory. {QUANTIZED}",
        "visualization": "It draws images with boxes and masks through Matplotlib: call that, and "
        "seqc.utils.plot_model for models.",
        **dict.fromkeys(("estimator", "premade", "premade_models", "feature_column"), _ESTIMATORS),
        "experimental": f"{_SETTLED} seqc.layers and seqc.optimizers.schedules, or gone.",
        **dict.fromkeys(("src", "engine", "__internal__", "internal", "protobuf", "testing"), _PUBLIC),
        "objectives": f"{_KERAS_2} take seqc.losses.",
        "hub": "It is KerasHub, a package of its own that needs Keras: load its models' files with "
        "seqc.models.load_model.",
    },
    "activations": {"experimental": f"{_SETTLED} seqc.activations."},
    "backend": {
        **dict.fromkeys(("get_session", "set_session", "manual_variable_initialization", "get_graph"), _SESSIONS),
        **dict.fromkeys(("learning_phase", "set_learning_phase", "in_train_phase", "in_test_phase"), _PHASES),
        "function": f"{_KERAS_2} a seqc.Model(inputs, outputs) computes from symbols to symbols.",
        "gradients": f"{_KERAS_2} seqc.GradientTape gives gradients in `train_step`.",
        "placeholder": f"{_KERAS_2} take seqc.Input.",
        "batch_dot": f"{_KERAS_2} take seqc.ops.einsum, or seqc.ops.matmul.",
        "ctc_batch_cost": f"{_KERAS_2} take seqc.ops.ctc_loss, or seqc.losses.CTC.",
        "ctc_decode": f"{_KERAS_2} take seqc.ops.ctc_decode.",
        "rnn": f"{_KERAS_2} take seqc.ops.scan, or seqc.layers.RNN.",
        "image_dim_ordering": "It is of Keras 1: take seqc.config.image_data_format.",
        "common": _PUBLIC,
        "tensorflow_backend": _PUBLIC,
    },
    "callbacks": {
        "OrbaxCheckpoint": "It keeps the arrays of JAX, which seqc does not use: ModelCheckpoint saves the model or "
        "its weights, and BackupAndRestore lets a run that was cut off go on.",
        "BaseLogger": f"{_KERAS_2} the History that fit returns has the means of an epoch.",
        "experimental": f"{_SETTLED} seqc.callbacks.",
    },
    "constraints": {"maxnorm": "It is of Keras 1: take seqc.constraints.MaxNorm."},
    "dtype_policies": {
        f"{name}DTypePolicy": f"Layers with it hold quantized weights. {QUANTIZED}"
        for name in ("AWQ", "GPTQ", "Int4", "Quantized", "QuantizedFloat8")
    },
    "export": {
        "ExportArchive": "It collects functions of a model in a SavedModel for TensorFlow's servers; seqc writes ONNX: "
        "model.export(path) for each function, as a model of its own.",
    },
    "initializers": {
        "experimental": f"{_SETTLED} seqc.initializers.",
        "normal": f"{_KERAS_2} take seqc.initializers.RandomNormal.",
        "uniform": f"{_KERAS_2} take seqc.initializers.RandomUniform.",
    },
    "layers": {
        "TFSMLayer": "It runs a SavedModel of TensorFlow, which seqc cannot see into: load the model's `.keras` or "
        "`.h5` file with seqc.models.load_model.",
        "JaxLayer": "It calls a function of JAX, which seqc can neither train nor export: write it with seqc.ops.",
        "FlaxLayer": "It calls a module of Flax, which seqc can neither train nor export: make the module of "
        "seqc.layers.",
        "TorchModuleWrapper": "It calls a module of PyTorch, which seqc can neither train nor export: make the module "
        "of seqc.layers, and set its weights with set_weights.",
        **dict.fromkeys(("CuDNNLSTM", "CuDNNGRU"), _CUDNN),
        **dict.fromkeys(("LocallyConnected1D", "LocallyConnected2D"), _LOCAL),
        "ThresholdedReLU": f"{_KERAS_2} it is seqc.activations.threshold with a value of 0.",
        "DenseFeatures": f"{_KERAS_2} take seqc.utils.FeatureSpace.",
        "SyncBatchNormalization": f"{_KERAS_2} take seqc.layers.BatchNormalization, on one machine the same.",
        "AbstractRNNCell": f"{_KERAS_2} a cell is a Layer with `state_size` and call(inputs, states).",
        "merge": "It is of Keras 1: take seqc.layers.Concatenate, Add and so on.",
        **dict.fromkeys(("MaxoutDense", "Highway"), "It is of Keras 1: make it of Dense in a Layer of your own."),
        "experimental": f"{_SETTLED} seqc.layers, the preprocessing layers among it.",
        **dict.fromkeys(
            ("advanced_activations", "embeddings", "local"),
            f"{_KERAS_2} take the layer from seqc.layers.",
        ),
    },
    "losses": {
        "Reduction": f'{_KERAS_2} `reduction` is a word here: "sum", "sum_over_batch_size", "mean" or "none".',
        "cosine_proximity": f"{_KERAS_2} take seqc.losses.CosineSimilarity.",
    },
    "metrics": {
        "MeanTensor": f"{_KERAS_2} write a seqc.metrics.Metric that adds up with add_variable.",
        "experimental": f"{_SETTLED} seqc.metrics.",
    },
    "mixed_precision": {"experimental": f"{_SETTLED} seqc.mixed_precision: set_global_policy."},
    "models": {
        "model_from_yaml": f"{_KERAS_2} take model.to_json and seqc.models.model_from_json.",
        "model_from_config": f"{_KERAS_2} take seqc.Model.from_config, or seqc.saving.deserialize_keras_object.",
        "Graph": "It is of Keras 0: take seqc.Model.",
        "experimental": f"{_KERAS_2} write `train_step` of a Model for what was on trial there.",
    },
    "ops": {
        "eig": f"It gives eigenvalues that are complex numbers, {_NO_COMPLEX} seqc.ops.eigh is for symmetric matrices.",
        "polar": f"It gives complex numbers, {_NO_COMPLEX} take (r * seqc.ops.cos(angle), r * seqc.ops.sin(angle)).",
        "view_as_complex": f"It gives complex numbers, {_NO_COMPLEX} keep (x[..., 0], x[..., 1]) apart.",
        "complex": "It is not in Keras 3.15 either, and complex numbers no tensor holds: keep two parts.",
        **dict.fromkeys(("core", "math", "function", "symbolic_arguments"), _PUBLIC),
    },
    "optimizers": {
        "legacy": f"{_KERAS_2} the optimizers of the same names in seqc.optimizers are those.",
        "experimental": f"{_SETTLED} seqc.optimizers.",
        "TFOptimizer": f"{_KERAS_2} take an optimizer of seqc.optimizers.",
    },
    "preprocessing": {
        "text": f"{_KERAS_2} take seqc.layers.TextVectorization for its Tokenizer, and seqc.layers.Hashing for "
        "hashing_trick and one_hot.",
    },
    "preprocessing.image": dict.fromkeys(
        ("ImageDataGenerator", "DirectoryIterator", "NumpyArrayIterator", "Iterator"),
        f"{_KERAS_2} read folders with seqc.utils.image_dataset_from_directory, change images by layers.",
    ),
    "preprocessing.sequence": {
        "TimeseriesGenerator": f"{_KERAS_2} take seqc.utils.timeseries_dataset_from_array.",
        **dict.fromkeys(
            ("skipgrams", "make_sampling_table"), f"{_KERAS_2} make the pairs with NumPy and train on these arrays."
        ),
    },
    "random": dict.fromkeys(
        ("get_state", "set_state"), "It is not in Keras either: a seqc.random.SeedGenerator holds where draws are."
    ),
    "regularizers": {"l1l2": "It is of Keras 1: take seqc.regularizers.L1L2."},
    "saving": {
        **dict.fromkeys(("legacy", "hdf5_format"), _FOR_FILES),
        "experimental": f"{_SETTLED} seqc.saving.",
    },
    "utils": {
        "legacy": _FOR_FILES,
        **dict.fromkeys(
            ("np_utils", "generic_utils", "vis_utils", "data_utils", "layer_utils", "io_utils", "tf_utils"),
            "It is inside Keras: take the function from seqc.utils.",
        ),
        "conv_utils": _PUBLIC,
        "multi_gpu_model": f"{_KERAS_2} {_ONE_MACHINE}",
        "SidecarEvaluator": f"{_KERAS_2} it evaluated on another machine; fit does with validation_data.",
        "HDF5Matrix": f"{_KERAS_2} give fit a seqc.utils.PyDataset that reads slices of h5py's arrays.",
        "warmstart_embedding_matrix": f"{_KERAS_2} set the rows of words that both vocabularies have by set_weights.",
        **dict.fromkeys(("OrderedEnqueuer", "GeneratorEnqueuer", "SequenceEnqueuer"), _QUEUES),
        "experimental": f"{_SETTLED} seqc.utils.",
    },
}
