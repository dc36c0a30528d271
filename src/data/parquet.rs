//! Tables in Parquet.

mod reader;
mod scores;
mod writer;

pub use reader::{columns, read, read_named, read_shown, rows};
pub use scores::Scores;
pub use writer::Writer;
