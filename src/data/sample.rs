//! Compact samples of whole users.
