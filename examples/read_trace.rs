//! Records a trace of six steps of DUIA, writes it, reads it back as anybody could, and follows one user centre through it.
//! `docs/trace.md` has the names and shapes of everything.
//!
//! `cargo run --release --example read_trace`

use std::error::Error;
use std::sync::Arc;

use duia::checkpoint::{State, from_bytes, to_bytes};
use duia::config::Config;
use duia::data::generator::Generator;
use duia::platform::block_on;
use duia::training::trace::record;
use duia::variants::Variant;

const STEPS: u64 = 6;

fn main() -> Result<(), Box<dyn Error>> {
    // Small tables, and centres that are filled after the second step.
    let config = Config { users: 200, items: 800, categories: 20, rows: 4_000, batch: 128, warm_up: 2, ..Config::default() };
    let recorded = block_on(record(&config, Variant::Duia, Arc::new(Generator::new(&config)), STEPS))?;
    let bytes = to_bytes(&recorded)?;
    // Any reader of safetensors reads these bytes.
    let trace = from_bytes(&bytes)?;
    println!("{} tensors, {} bytes, of {}", trace.arrays.len(), bytes.len(), trace.description.variant.name());

    let width = config.memory_width();
    let centre = |trace: &State, name: &str| Ok::<_, Box<dyn Error>>(trace.floats(name)?[..width].to_vec());
    for step in 0..STEPS {
        let name = format!("step.{step:05}");
        let loss = trace.floats(&format!("{name}.loss.mtl"))?[0];
        let first = centre(&trace, &format!("{name}.after.user_centres"))?;
        let length = first.iter().map(|x| x * x).sum::<f32>().sqrt();
        let filled = if trace.arrays.contains_key(&format!("{name}.users.first_fill")) { ", then all centres are filled" } else { "" };
        println!("step {step}: ranking loss {loss:.4}, user centre 0 has the length {length:.4}{filled}");
    }
    Ok(())
}
