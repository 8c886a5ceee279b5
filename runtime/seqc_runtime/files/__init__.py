"""Files of samples, read and written a piece at a time: csv, npy, npz, parquet."""
