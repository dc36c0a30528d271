//! Tables in Parquet.

mod reader;
mod scores;
mod text;
mod writer;

pub use reader::{columns, read, read_named, read_shown, rows};
pub use scores::Scores;
pub use text::text;
pub use writer::Writer;
