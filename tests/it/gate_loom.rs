//! The gate under loom: every interleaving of admission, hold, release, close and waiting.
