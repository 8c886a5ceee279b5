"""What other servers read: Triton's model repositories, and KServe's resources."""
