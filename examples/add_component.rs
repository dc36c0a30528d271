//! Adds a component to PLE without touching the crate, trains both side by side and compares them on the whole test.
//!
//! The component is the bilinear interaction of FiBiNET (Huang et al. 2019): a candidate's embeddings meet the user's as
//! `(u W) * c`, element by element, once for the item and once for its category. PLE's experts see only sums of the two.
//!
//! `cargo run --release --example add_component`: some seconds.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use duia::config::Config;
use duia::data::generator::Generator;
use duia::data::protocol::Dataset;
use duia::metrics::TestRows;
use duia::model::batch::{CANDIDATE_FIELDS, Layout};
use duia::model::component::{Adds, Component, Features, Found, Kind, Reads};
use duia::model::layers::dense::{Init, Linear};
use duia::model::layers::weights::{Parameters, Weights};
use duia::model::ranker::Ranker;
use duia::platform::block_on;
use duia::training::Learner;
use duia::variants::Variant;

/// What is known of the component before it is built: its name, its columns of a candidate's features, its parameters, and how to
/// build it. In the crate this is the `KINDS` of a file in `src/model/components`.
static BILINEAR: Kind = Kind {
    adds: |config| Adds { candidate: CANDIDATE_FIELDS * config.embedding, ..Adds::NOTHING },
    parameters: |config, _| CANDIDATE_FIELDS * (config.embedding + 1) * config.embedding,
    ..Kind::new("bilinear", |building| {
        Box::new(Bilinear { weights: Weights::new("bilinear", Products::new(building.init, building.config)) })
    })
};

/// Its dense parameters.
#[derive(Module, Debug)]
struct Products {
    /// `[fields, embedding, embedding]`: the `W` of the item and of the category.
    user: Linear,
}

impl Products {
    fn new(init: &Init, config: &Config) -> Self {
        Self { user: Linear::new(init, "bilinear.user", CANDIDATE_FIELDS, config.embedding, config.embedding) }
    }

    /// `[samples, fields * embedding]` from users `[samples, embedding]` and candidates `[samples, fields * embedding]`.
    fn forward(&self, users: Tensor<2>, candidates: Tensor<2>) -> Tensor<2> {
        let [samples, width] = users.dims();
        let users = users.unsqueeze_dim::<3>(0).expand([CANDIDATE_FIELDS, samples, width]);
        let projected = self.user.forward(users).swap_dims(0, 1).reshape([samples, CANDIDATE_FIELDS * width]);
        projected * candidates
    }
}

/// The component in training.
struct Bilinear {
    weights: Weights<Products>,
}

impl Component for Bilinear {
    fn weights(&self) -> Option<&dyn Parameters> {
        Some(&self.weights)
    }

    fn weights_mut(&mut self) -> Option<&mut dyn Parameters> {
        Some(&mut self.weights)
    }

    fn forward(&self, reads: &Reads<'_>, _found: &mut Found, features: &mut Features) {
        let candidates = reads.pairs();
        let ([requests, _], [samples, columns]) = (reads.leaves.requests.dims(), candidates.dims());
        let width = columns / CANDIDATE_FIELDS;
        // The user's embedding is the first field of a request; each request has the same number of candidates.
        let users = reads.leaves.requests.clone().slice([0..requests, 0..width]);
        let users = users.unsqueeze_dim::<3>(1).repeat_dim(1, samples / requests).reshape([samples, width]);
        features.candidate.push(self.weights.read(reads.is_training()).forward(users, candidates));
    }
}

fn main() {
    let config = Config { users: 1_000, items: 4_000, rows: 60_000, evaluate_every: 50, ..Config::default() };
    if let Err(error) = train(&config) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn train(config: &Config) -> Result<(), Box<dyn std::error::Error>> {
    let dataset = Dataset::open(Arc::new(Generator::new(config)), config)?;
    let (device, layout, steps) = (Device::flex(), Layout::new(dataset.vocabulary(), config), dataset.train_steps());
    let models: [(&str, &[&Kind]); 2] = [("PLE", &[]), ("PLE + bilinear", &[&BILINEAR])];
    let rankers = models.iter().map(|(_, added)| Ranker::with(config, Variant::Ple, added, layout, &device)).collect();
    let mut learner = Learner::of(rankers, layout, config, &device, steps).in_parallel(true);

    let mut replay = dataset.replay();
    while let Some(batch) = replay.next_train() {
        block_on(learner.learn(Arc::new(batch)))?;
        if learner.steps().is_multiple_of(config.evaluate_every) || learner.steps() == steps {
            let losses = block_on(learner.losses())?;
            let of_model = |((name, _), losses): (&(&str, &[&Kind]), &duia::metrics::Losses)| {
                format!("{name} {:.4}", losses.get("loss_mtl").unwrap_or(f32::NAN))
            };
            let losses: Vec<String> = models.iter().zip(&losses).map(of_model).collect();
            println!("step {:3} of {steps}, ranking loss: {}", learner.steps(), losses.join(", "));
        }
    }

    // The whole test, memories frozen: the same rows for both, so that the difference has an interval of its own.
    let (mut rows, mut predictions) = (TestRows::default(), [Vec::new(), Vec::new()]);
    while let Some(batch) = replay.next_test() {
        let batch = Arc::new(batch);
        rows.push(&batch, &dataset);
        for (ranker, predictions) in learner.rankers().iter().zip(&mut predictions) {
            let scores = ranker.score(&ranker.live(), &ranker.test_batch(batch.clone())).logits.into_data().try_into_vec::<f32>()?;
            predictions.extend_from_slice(&scores[..batch.valid * batch.candidates]);
        }
    }
    let [ple, bilinear] = &predictions;
    for ((name, _), own) in models.iter().zip([ple, bilinear]) {
        let score = rows.score(own, None).auc.all;
        println!("{name}: AUC {:.4} ± {:.4} on {} test positives", score.value, 1.96 * score.standard_error, score.positives);
    }
    if let Some(lift) = rows.score(bilinear, Some(ple)).lift {
        println!("difference: {:+.4} ± {:.4}", lift.all.value, 1.96 * lift.all.standard_error);
    }
    Ok(())
}
