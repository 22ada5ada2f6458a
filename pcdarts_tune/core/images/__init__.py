"""Images on their way to the device: decoding, augmentation, batches from memory, streams from files."""
