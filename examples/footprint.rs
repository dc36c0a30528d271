//! How much memory would a run of any size take? Nothing is allocated.
//!
//! `cargo run --release --example footprint -- USERS ITEMS ROWS [KEY=VALUE ..]`, the settings over those of `--preset paper`.

use std::error::Error;

use duia::config::{Config, Preset};
use duia::data::Vocabulary;
use duia::footprint::{Footprint, Shape};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [users, items, rows, settings @ ..] = &arguments[..] else { return Err("USERS ITEMS ROWS [KEY=VALUE ..]".into()) };
    let mut config = Config::preset(Preset::Paper);
    for setting in settings {
        let (key, value) = setting.split_once('=').ok_or_else(|| format!("`{setting}` is not KEY=VALUE"))?;
        config = config.with(key, value)?.ok_or_else(|| format!("`{key}` is not a key; `duia config` prints them all"))?;
    }
    let vocabulary = Vocabulary { users: users.parse()?, items: items.parse()?, categories: config.categories };
    let needed = Footprint::new(&config, Shape { vocabulary, rows: rows.parse()?, is_synthetic: false });
    println!("GB      what");
    for (bytes, what) in [
        (needed.tables, "embeddings and personal vectors, with their moments"),
        (needed.memories, "memories of behaviours and assignments"),
        (needed.protocol, "the index of the rows, and what is known of users and items"),
        (needed.test, "the scores of the test"),
        (needed.step, "dense parameters, and what a step computes"),
        (needed.total(), "all, the program included"),
    ] {
        println!("{:<7.1} {what}", bytes as f64 / 1e9);
    }
    Ok(())
}
