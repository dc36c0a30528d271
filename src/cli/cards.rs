//! `--cards`: several cards of this machine, a thread each. The first one's thread is the run, as any other; the others compute their part
//! of every batch, and say and write nothing.

use duia::model::together::Together;

use super::arguments::Train;
use super::interruption::Interruption;
use super::refusal::Refusal;

/// What a card does that follows the first one to the end of the run.
pub type Follow = fn(&Train, Together, &Interruption) -> Result<(), Refusal>;

/// The first of the cards among all of them, which have begun to follow it.
///
/// # Errors
/// A program or a device without CUDA, fewer cards, or processes that would each take several.
#[cfg(feature = "cuda")]
pub fn join(asked: &Train, processes: &Together, follow: Follow) -> Result<Together, Refusal> {
    use std::sync::Arc;

    use duia::communicator::Communicator;
    use duia::communicator::cards::Card;
    use duia::training::device::cuda;

    use super::choices::Device;

    let cards = usize::from(asked.cards);
    if processes.processes() > 1 {
        let what = format!("each of {} processes would take {cards} cards", processes.processes());
        return Err(Refusal::input(what, "Leave --cards out: each process takes a card of its own"));
    }
    if asked.device != Some(Device::Cuda) {
        return Err(Refusal::input("--cards is for NVIDIA's cards, which share a batch through CUDA", "Say --device cuda, too"));
    }
    let there = cuda::cards().map_err(|why| Refusal::input(why, "Leave --cards out"))?;
    if there < cards {
        return Err(Refusal::input(format!("{cards} cards were asked for, and the driver knows {there}"), format!("Say --cards {there}")));
    }
    let mut all = Card::several(cards).into_iter().map(|card| Together::from(Arc::new(card) as Arc<dyn Communicator>));
    let first = all.next().unwrap_or_default();
    for together in all {
        let asked = asked.clone();
        std::thread::spawn(move || followed(&asked, together, follow));
    }
    Ok(first)
}

/// Follows the first card to the end of the run. Where it cannot, all end: the others would wait for it in the next step for ever.
#[cfg(feature = "cuda")]
fn followed(asked: &Train, together: Together, follow: Follow) {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::text::warn;

    let number = together.rank() + 1;
    let outcome = catch_unwind(AssertUnwindSafe(|| follow(asked, together, &Interruption::unheard(asked.test_on_interrupt))));
    let (why, code) = match outcome {
        Ok(Ok(()) | Err(Refusal::Stopped | Refusal::Untested)) => return,
        Ok(Err(refusal)) => (refusal.to_string(), refusal.number()),
        Err(_) => {
            ("It met an error that it did not expect, as said above. `duia train --resume` goes on from the last checkpoint.".into(), 1)
        }
    };
    warn(&format!("Card {number} of {}: {why}", asked.cards));
    std::process::exit(i32::from(code));
}

#[cfg(not(feature = "cuda"))]
pub fn join(_asked: &Train, _processes: &Together, _follow: Follow) -> Result<Together, Refusal> {
    let what = "this program was built without CUDA, and --cards is for NVIDIA's cards";
    Err(Refusal::input(what, "Build it with `cargo build --release --features cuda`, or leave --cards out"))
}
