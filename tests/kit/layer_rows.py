"""The layers of which every Keras records files: `kit.record_layer_files` makes them, tests/test_layer_files.py reads.

A row is how a layer is made, in the namespace of `keras.layers`; it is called on the input under whose name it stands.
The last rows, of layers that take several things, are whole calls on those inputs.
"""

from __future__ import annotations

import re

WORDS = ["the", "cat", "sat", "on"]
IDS = 7
# By input: the shape of one sample and the type of its numbers.
INPUTS: dict[str, tuple[tuple[int, ...], str]] = {
    "vector": ((6,), "float32"),
    "sequence": ((5, 4), "float32"),
    "image": ((6, 6, 3), "float32"),
    "volume": ((4, 4, 4, 2), "float32"),
    "film": ((2, 4, 4, 4, 2), "float32"),
    "picture": ((8, 8, 3), "float32"),
    "sound": ((40,), "float32"),
    "ids": ((5,), "int32"),
    "words": ((3,), "string"),
    "texts": ((1,), "string"),
}
_ROWS = {
    "vector": """
        Activation("elu")
        Activation("selu")
        Activation("gelu")
        Activation("hard_sigmoid")
        Activation("leaky_relu")
        Activation("relu6")
        Activation("silu")
        Activation("softsign")
        Activation("mish")
        Activation("log_softmax")
        Dense(3, activation="tanh", kernel_regularizer="l2")
        BatchNormalization()
        LayerNormalization()
        UnitNormalization()
        ELU(0.5)
        LeakyReLU()
        PReLU()
        ReLU(max_value=1.0)
        Softmax()
        Rescaling(0.5, offset=1.0)
        Normalization(mean=[1.0] * 6, variance=[2.0] * 6)
        RepeatVector(2)
        Reshape((2, 3))
        Dropout(0.5)
        GaussianNoise(0.1)
        AlphaDropout(0.1)
        ActivityRegularization(l2=0.1)
        Discretization([-0.5, 0.5])
        RMSNormalization()
        GaussianDropout(0.2)
        Identity()
    """,
    "sequence": """
        LSTM(3, return_sequences=True, recurrent_activation="hard_sigmoid")
        GRU(3)
        GRU(3, reset_after=False, go_backwards=True)
        SimpleRNN(3)
        Bidirectional(GRU(2), merge_mode="sum")
        RNN(LSTMCell(3))
        RNN([GRUCell(3), SimpleRNNCell(2)])
        RNN(StackedRNNCells([GRUCell(2), LSTMCell(2)]))
        TimeDistributed(Dense(2))
        Conv1D(3, 2, padding="causal", dilation_rate=2)
        SeparableConv1D(3, 2)
        DepthwiseConv1D(2)
        Conv1DTranspose(2, 2, strides=2)
        MaxPooling1D()
        AveragePooling1D(2)
        GlobalMaxPooling1D()
        ZeroPadding1D(1)
        Cropping1D(1)
        UpSampling1D(2)
        Permute((2, 1))
        Flatten()
        SpatialDropout1D(0.2)
        AdaptiveAveragePooling1D(2)
        AdaptiveMaxPooling1D(2)
        GlobalAveragePooling1D()
        Masking(0.5)
        STFTSpectrogram("magnitude", frame_length=4, frame_step=2, fft_length=4)
        EinsumDense("abc,cd->abd", output_shape=(None, 3), bias_axes="d")
    """,
    "image": """
        Conv2D(4, 3, strides=2, padding="same")
        Conv2D(6, 2, groups=3)
        Conv2DTranspose(2, 3, strides=2, padding="same")
        DepthwiseConv2D(2, depth_multiplier=2)
        SeparableConv2D(3, 2)
        BatchNormalization(axis=1)
        GroupNormalization(3)
        MaxPooling2D()
        AveragePooling2D(2, padding="same")
        GlobalAveragePooling2D(keepdims=True)
        ZeroPadding2D(((1, 0), (0, 2)))
        Cropping2D(1)
        UpSampling2D(2)
        PReLU(shared_axes=[1, 2])
        CenterCrop(4, 4)
        Resizing(3, 3)
        AdaptiveAveragePooling2D((2, 3))
        AdaptiveMaxPooling2D(2)
        GlobalMaxPooling2D()
        SpatialDropout2D(0.2)
        SpectralNormalization(Conv2D(2, 2))
        ConvLSTM1D(2, 2, padding="same")
    """,
    "volume": """
        Conv3D(2, 2)
        Conv3DTranspose(2, 2, strides=2)
        MaxPooling3D()
        AveragePooling3D(2)
        GlobalAveragePooling3D()
        GlobalMaxPooling3D()
        AdaptiveAveragePooling3D(2)
        AdaptiveMaxPooling3D(2)
        UpSampling3D(2)
        ZeroPadding3D(1)
        Cropping3D(1)
        SpatialDropout3D(0.2)
        ConvLSTM2D(2, 2)
    """,
    "film": """
        ConvLSTM3D(2, 2)
    """,
    "picture": """
        AugMix()
        AutoContrast()
        ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 2))
        CutMix()
        Equalization()
        MixUp()
        Pipeline([Rescaling(0.5), RandomFlip()])
        RandAugment()
        RandomBrightness(0.2)
        RandomColorDegeneration(0.2)
        RandomColorJitter(brightness_factor=0.2)
        RandomContrast(0.2)
        RandomCrop(5, 4)
        RandomElasticTransform()
        RandomErasing()
        RandomFlip("horizontal")
        RandomGaussianBlur()
        RandomGrayscale()
        RandomHue(0.2)
        RandomInvert()
        RandomPerspective()
        RandomPosterization(4)
        RandomRotation(0.1, fill_mode="constant")
        RandomSaturation(0.2)
        RandomSharpness(0.2)
        RandomShear(0.1, 0.2)
        RandomTranslation(0.1, 0.2)
        RandomZoom(0.1)
        Solarization(threshold_factor=(0.5, 0.5))
    """,
    "sound": """
        MelSpectrogram(fft_length=16, sequence_stride=8, sampling_rate=100, num_mel_bins=4)
    """,
    "ids": """
        Embedding(7, 3)
        ReversibleEmbedding(7, 3)
        CategoryEncoding(7, output_mode="multi_hot")
        IntegerLookup(vocabulary=[1, 5, 2])
        IntegerLookup(vocabulary=[1, 5, 2], output_mode="count")
        Hashing(4)
        adapted(IntegerLookup(), [[1, 2, 2], [5, 1, 1]])
    """,
    "words": """
        StringLookup(vocabulary=WORDS)
        StringLookup(vocabulary=WORDS, output_mode="multi_hot", num_oov_indices=2)
        StringLookup(vocabulary=WORDS, output_mode="tf_idf", idf_weights=[0.5, 1.0, 2.0, 3.0])
        Hashing(9, mask_value="")
        Hashing(50, salt=[1, 2])
        adapted(StringLookup(), WORDS)
    """,
    "texts": """
        TextVectorization(vocabulary=WORDS, output_sequence_length=4)
        TextVectorization(vocabulary=WORDS, output_mode="count", ngrams=2)
        TextVectorization(vocabulary=WORDS, split="character", standardize="lower")
        adapted(TextVectorization(output_mode="tf_idf"), ["the cat", "the dog", "a dog"])
        adapted(TextVectorization(max_tokens=4, output_mode="multi_hot"), ["the cat", "the dog", "a dog"])
    """,
    "": """
        MultiHeadAttention(2, 2)(sequence, sequence)
        GroupQueryAttention(2, 2, 1)(sequence, sequence)
        Attention()([sequence, Rescaling(0.5)(sequence)])
        AdditiveAttention()([sequence, Rescaling(0.5)(sequence)])
        Dot(axes=2)([sequence, sequence])
        Concatenate()([sequence, Rescaling(0.5)(sequence)])
        Average()([sequence, Rescaling(0.5)(sequence)])
        Subtract()([sequence, Rescaling(0.5)(sequence)])
        Add()([sequence, Rescaling(0.5)(sequence)])
        Multiply()([sequence, Rescaling(0.5)(sequence)])
        Maximum()([sequence, Rescaling(0.5)(sequence)])
        Minimum()([sequence, Rescaling(0.5)(sequence)])
        HashedCrossing(20)((texts, Hashing(3)(texts)))
        HashedCrossing(9, output_mode="one_hot")((texts, texts))
    """,
}
# A row, as what is called on which input.
ROWS = [
    f"{row.strip()}({name})" if name else row.strip()
    for name, rows in _ROWS.items()
    for row in rows.strip().split("\n")
]


def classes_of(row: str) -> set[str]:
    """Returns the classes of the layers that a row makes."""
    return {name for name in re.findall(r"(\w+)\(", row) if name != "adapted"}


def inputs_of(row: str) -> set[str]:
    """Returns the names of the inputs that a row's layer is called on."""
    return set(re.findall(r"[(\[, ](\w+)(?=[,)\]])", row)) & set(INPUTS)
