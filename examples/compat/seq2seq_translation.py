"""Turns words round letter by letter: an encoder and a decoder that pass on states, trained as one and used apart."""

import keras
import numpy as np

from report import report, settle

letters = "abcdef"
rng = np.random.default_rng(2)
input_texts = ["".join(rng.choice(list(letters), rng.integers(2, 5))) for _ in range(160)]
target_texts = ["\t" + text[::-1] + "\n" for text in input_texts]
input_characters, target_characters = sorted(letters + " "), sorted(letters + "\t\n ")
num_encoder_tokens, num_decoder_tokens, latent_dim = len(input_characters), len(target_characters), 32
max_encoder, max_decoder = max(map(len, input_texts)), max(map(len, target_texts))
input_index = {char: i for i, char in enumerate(input_characters)}
target_index = {char: i for i, char in enumerate(target_characters)}

encoder_input_data = np.zeros((len(input_texts), max_encoder, num_encoder_tokens), dtype="float32")
decoder_input_data = np.zeros((len(input_texts), max_decoder, num_decoder_tokens), dtype="float32")
decoder_target_data = np.zeros((len(input_texts), max_decoder, num_decoder_tokens), dtype="float32")
for i, (input_text, target_text) in enumerate(zip(input_texts, target_texts)):
    for t, char in enumerate(input_text.ljust(max_encoder)):
        encoder_input_data[i, t, input_index[char]] = 1.0
    for t, char in enumerate(target_text.ljust(max_decoder)):
        decoder_input_data[i, t, target_index[char]] = 1.0
        if t > 0:
            decoder_target_data[i, t - 1, target_index[char]] = 1.0
    decoder_target_data[i, max_decoder - 1, target_index[" "]] = 1.0

encoder_inputs = keras.Input(shape=(None, num_encoder_tokens))
encoder = keras.layers.LSTM(latent_dim, return_state=True)
encoder_outputs, state_h, state_c = encoder(encoder_inputs)
encoder_states = [state_h, state_c]
decoder_inputs = keras.Input(shape=(None, num_decoder_tokens))
decoder_lstm = keras.layers.LSTM(latent_dim, return_sequences=True, return_state=True)
decoder_outputs, _, _ = decoder_lstm(decoder_inputs, initial_state=encoder_states)
decoder_dense = keras.layers.Dense(num_decoder_tokens, activation="softmax")
decoder_outputs = decoder_dense(decoder_outputs)
model = settle(keras.Model([encoder_inputs, decoder_inputs], decoder_outputs))
model.compile(optimizer=keras.optimizers.RMSprop(0.01), loss="categorical_crossentropy", metrics=["accuracy"])
history = model.fit(
    [encoder_input_data, decoder_input_data],
    decoder_target_data,
    batch_size=16,
    epochs=5,
    shuffle=False,
    validation_split=0.2,
    verbose=0,
)

# The same layers once more, as two models that run step by step.
encoder_inputs = model.input[0]
encoder_outputs, state_h_enc, state_c_enc = model.layers[2].output
encoder_model = keras.Model(encoder_inputs, [state_h_enc, state_c_enc])
decoder_inputs = model.input[1]
decoder_states_inputs = [keras.Input(shape=(latent_dim,)), keras.Input(shape=(latent_dim,))]
decoder_lstm = model.layers[3]
decoder_outputs, state_h_dec, state_c_dec = decoder_lstm(decoder_inputs, initial_state=decoder_states_inputs)
decoder_outputs = model.layers[4](decoder_outputs)
decoder_model = keras.Model([decoder_inputs, *decoder_states_inputs], [decoder_outputs, state_h_dec, state_c_dec])
reverse_target = dict(enumerate(target_characters))


def decode_sequence(input_seq):
    states_value = encoder_model.predict(input_seq, verbose=0)
    target_seq = np.zeros((1, 1, num_decoder_tokens))
    target_seq[0, 0, target_index["\t"]] = 1.0
    decoded_sentence = ""
    while len(decoded_sentence) <= max_decoder:
        output_tokens, h, c = decoder_model.predict([target_seq, *states_value], verbose=0)
        sampled = int(np.argmax(output_tokens[0, -1, :]))
        if reverse_target[sampled] == "\n":
            break
        decoded_sentence += reverse_target[sampled]
        target_seq = np.zeros((1, 1, num_decoder_tokens))
        target_seq[0, 0, sampled] = 1.0
        states_value = [h, c]
    return decoded_sentence


for seq_index in (0, 1):
    print(input_texts[seq_index], "->", decode_sequence(encoder_input_data[seq_index : seq_index + 1]))
states = encoder_model.predict(encoder_input_data[:4], verbose=0)
assert history.history["val_accuracy"][-1] > history.history["val_accuracy"][0]
report(model, [encoder_input_data[:16], decoder_input_data[:16]], exact={"history": history.history, "states": states})
