"""What others say about a checkpoint: time stamps, cosignatures, copies."""
