//! `duia simulate`: the simulated online A/B experiment, seed by seed, as tables and plots beside the paper's Table 6.

mod book;
mod plots;
mod watcher;

use duia::config::{Config, Preset};
use duia::data::{DataReport, Vocabulary};
use duia::platform::block_on;
use duia::simulation::{Learning, SimulationConfig, SimulationReport};
use duia::variants::{Variant, Variants};
use duia::wire::{DeviceReport, Failure};
use serde::Serialize;

use super::super::refusal::Refusal;
use super::super::run_folder::RunFolder;
use super::super::settings::preset_name;
use super::super::text::{percent, say, warn, whole};
use super::arguments::Simulate;
use super::document::Document;
use super::{command_line, say_table};
use watcher::Watcher;

/// A seed that was simulated, as its file holds it.
#[derive(Clone, Debug, Serialize)]
pub struct Simulated {
    duia: &'static str,
    device: Option<DeviceReport>,
    data: Option<DataReport>,
    config: Config,
    /// A simulation and no measurement: the name of the key says so too.
    simulation: SimulationReport,
}

/// `duia simulate`: reports after each seed.
pub fn simulate(arguments: &Simulate) -> Result<(), Refusal> {
    let first = arguments.settings.resolve_over(ladder)?;
    let sizes = SimulationConfig::from(&arguments.sizes);
    check(&first, sizes)?;
    let seeds = arguments.seeds.from(first.seed);
    let folder = RunFolder::create(arguments.out.as_deref(), &format!("simulation-{}", preset_name(&first)))?;
    let mut done = Vec::new();
    for (place, &seed) in seeds.iter().enumerate() {
        if !arguments.quiet {
            warn(&format!("Simulation {} of {}: seed {seed}.", place + 1, seeds.len()));
        }
        match one(Config { seed, ..first.clone() }, sizes, arguments) {
            Ok(simulated) => done.push(simulated),
            Err(refusal) => {
                folder.discard_if_empty();
                return Err(refusal);
            }
        }
        write(&folder, &done, seeds.len())?;
    }
    folder.finish()?;
    book::of(&done).tables.iter().filter(|table| table.id != book::SERVED).for_each(say_table);
    say(&format!("\n{}", book::CHANGE));
    say(&format!("Report, figures and plots of the simulation: {}", folder.path().display()));
    Ok(())
}

/// A preset with the paper's ladder.
fn ladder(preset: Preset) -> Config {
    Config { variants: Variants(Variant::LADDER.to_vec()), ..Config::preset(preset) }
}

/// Refuses sizes before anything is trained.
fn check(config: &Config, sizes: SimulationConfig) -> Result<(), Refusal> {
    let vocabulary = Vocabulary { users: config.users, items: config.items, categories: config.categories };
    sizes.validate(vocabulary).map_err(|error| {
        let option = error.field.replace('_', "-");
        Refusal::input(error, format!("Give another --{option}"))
    })
}

fn one(config: Config, sizes: SimulationConfig, arguments: &Simulate) -> Result<Simulated, Refusal> {
    let mut watcher = Watcher::new(&config.variants.0, sizes.days, arguments.quiet);
    let outcome = block_on(duia::simulation::simulate(&config, sizes, arguments.device.into(), |notice| watcher.hear(notice)));
    let Watcher { device, data, begun, .. } = watcher.close();
    let simulation = outcome.map_err(|failure| Refusal::Run { failure, begun })?;
    Ok(Simulated { duia: env!("CARGO_PKG_VERSION"), device, data, config, simulation })
}

fn write(folder: &RunFolder, done: &[Simulated], seeds: usize) -> Result<(), Refusal> {
    let failed = |what: &str, detail: String| {
        let what = format!("The simulation is done, but its {what} could not be made");
        Refusal::Run { failure: Failure { what, detail, next: "Please report this".into() }, begun: true }
    };
    if let Some(last) = done.last() {
        let json = serde_json::to_string_pretty(last).map_err(|error| failed("file", error.to_string()))?;
        folder.write(&format!("seed-{}.json", last.config.seed), (json + "\n").as_bytes())?;
    }
    let book = book::of(done);
    let plots = plots::of(done).map_err(|error| failed("plots", error.to_string()))?;
    let title = "A simulated online A/B experiment".into();
    let document = Document { title, facts: facts(done, seeds), commands: vec![command_line()], book: &book, plots };
    for (name, text) in document.files().map_err(|error| failed("figures", error.to_string()))? {
        folder.write(&name, text.as_bytes())?;
    }
    Ok(())
}

/// What was simulated, and what it is not.
fn facts(done: &[Simulated], seeds: usize) -> Vec<String> {
    let mut lines = vec![
        "This is a simulation on a synthetic stream: no real user took part, and no figure is a measurement of real people. Whether a \
         simulated user takes an item is decided by the preferences that the generator planted in them, which no model sees."
            .into(),
    ];
    let Some(Simulated { device, data, simulation, .. }) = done.first() else { return lines };
    let SimulationConfig { days, sessions, candidates, shown, block, new_users, learning } = simulation.config;
    let learning = match learning {
        Learning::AtOnce => "as soon as a batch is full",
        Learning::Daily => "after the day",
    };
    lines.push(format!(
        "Each model is trained on the whole stream and then serves its own copy of the same {days} days: {} sessions a day, {candidates} \
         candidates each, of which the best {shown} are shown. Users look from the top, and what they take enters their histories and \
         trains the model, {learning}. {block} sessions are scored at once. {} of the users are new: they have no row in training.",
        whole(sessions.into()),
        percent(new_users),
    ));
    lines.push(
        "Who comes, what there is to rank, how far they look and the chance of taking it are the same draws for all models, so that \
         changes are paired."
            .into(),
    );
    let numbers: Vec<String> = done.iter().map(|one| one.config.seed.to_string()).collect();
    lines.push(format!(
        "{} of {seeds} seeds are finished: {}. Each is a world of its own; its file `seed-<N>.json` holds the whole configuration, and \
         every figure with both ends of its interval.",
        done.len(),
        numbers.join(", ")
    ));
    lines.extend(data.as_ref().map(|data| format!("The first seed's stream: {}, {} rows.", data.name, whole(data.rows))));
    lines.extend(device.as_ref().map(|device| format!("Computed on: {} ({}).", device.backend, device.adapter)));
    lines
}
