"""The compiler's core: values and operations, sizes, gradients, traces. It knows no Keras name and no backend."""
