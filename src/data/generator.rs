//! The synthetic stream.
