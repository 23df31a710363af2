"""Training data, on disk and made online: readers, packed sets, batches, augmentation, labels."""
