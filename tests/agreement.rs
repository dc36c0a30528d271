//! Twenty steps from one seed give the same run everywhere: on the CPU natively, on the CPU in a browser, and on a
//! graphics adapter in both. Held against trajectories that the native CPU wrote:
//! `DUIA_GOLDEN=write cargo test --release --test agreement native::on_the_cpu`.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::Device;
use duia::config::Config;
use duia::data::generator::Generator;
use duia::data::protocol::Dataset;
use duia::model::component::Clustered;
use duia::training::Learner;
use duia::variants::{Variant, Variants, trained};
use serde::{Deserialize, Serialize};

const STEPS: u64 = 20;
/// Largest difference of a loss.
const LOSS_BOUND: f32 = 1e-3;
/// Smallest share of samples that fall in the same centres.
const SAME_CENTRES: f64 = 0.99;

/// What a graphics adapter runs: one made of software takes minutes for all. The complete model holds all of DUIA's parts; in a
/// browser each more kernel is compiled for seconds.
#[cfg(not(target_family = "wasm"))]
const ON_A_GPU: [Variant; 4] = [Variant::Ple, Variant::Contrastive, Variant::Transfer, Variant::DuiaItems];
#[cfg(target_family = "wasm")]
const ON_A_GPU: [Variant; 2] = [Variant::Ple, Variant::DuiaItems];

const GOLDEN: &str = include_str!("golden/trajectory.json");

/// What a run of a variant leaves to compare.
#[derive(Default, Serialize, Deserialize)]
struct Trajectory {
    /// Losses by name, step by step.
    losses: BTreeMap<String, Vec<f32>>,
    /// `[samples, 2]`: the centres of the last batch, users and then items.
    assigned: Vec<i32>,
}

/// All that are trained.
fn every() -> Vec<Variant> {
    trained(&Variant::ALL).collect()
}

/// By the variant's key.
type Trajectories = BTreeMap<String, Trajectory>;

async fn trajectories(device: &Device, variants: &[Variant]) -> Trajectories {
    let variants_of_run = Variants(variants.to_vec());
    let config =
        Config { variants: variants_of_run, users: 500, items: 2_000, categories: 60, rows: 8_000, warm_up: 5, ..Config::default() };
    let dataset = Dataset::open(Arc::new(Generator::new(&config)), &config).unwrap();
    let (mut learner, mut replay) = (Learner::new(&config, variants, dataset.vocabulary(), device, 100), dataset.replay());
    let mut all: Vec<Trajectory> = variants.iter().map(|_| Trajectory::default()).collect();
    for _ in 0..STEPS {
        learner.learn(Arc::new(replay.next_train().unwrap())).await.unwrap();
        for (trajectory, losses) in all.iter_mut().zip(learner.losses().await.unwrap()) {
            losses.named().for_each(|(name, loss)| trajectory.losses.entry(name.into()).or_default().push(loss));
        }
    }
    for (trajectory, ranker) in all.iter_mut().zip(learner.rankers()) {
        let last = ranker.last().unwrap().clone();
        for Clustered { chosen, .. } in last.clustered.into_iter().flatten() {
            let assigned = chosen.unwrap().0.into_data_async().await.unwrap();
            trajectory.assigned.extend(assigned.try_into_vec::<i32>().unwrap());
        }
    }
    variants.iter().map(|variant| variant.key().to_string()).zip(all).collect()
}

async fn agrees(device: &Device, variants: &[Variant]) {
    let (here, golden) = (trajectories(device, variants).await, serde_json::from_str::<Trajectories>(GOLDEN).unwrap());
    for (variant, here) in here {
        let golden = &golden[&variant];
        assert!(here.losses.keys().eq(golden.losses.keys()), "{variant} has the losses {:?}", here.losses.keys());
        for ((name, here), golden) in here.losses.iter().zip(golden.losses.values()) {
            assert_eq!(here.len(), golden.len(), "{variant}, {name}");
            let worst = here.iter().zip(golden).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= LOSS_BOUND, "{variant}: {name} is off by {worst}");
        }
        assert_eq!(here.assigned.len(), golden.assigned.len(), "{variant}");
        let same = here.assigned.chunks(2).zip(golden.assigned.chunks(2)).filter(|(a, b)| a == b).count();
        let least = SAME_CENTRES * (golden.assigned.len() / 2) as f64;
        assert!(same as f64 >= least, "{variant}: only {same} of {} samples fall in the same centres", golden.assigned.len() / 2);
    }
}

#[cfg(not(target_family = "wasm"))]
mod native {
    use super::*;
    use common::block_on;
    use common::skip::skip;

    #[test]
    fn on_the_cpu() {
        if std::env::var("DUIA_GOLDEN").is_ok_and(|wish| wish == "write") {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/trajectory.json");
            std::fs::write(path, serde_json::to_string(&block_on(trajectories(&Device::flex(), &every()))).unwrap()).unwrap();
            return;
        }
        block_on(agrees(&Device::flex(), &every()));
    }

    #[test]
    fn on_a_graphics_adapter() {
        match block_on(Device::wgpu_options().init_async()) {
            Ok(device) => block_on(agrees(&device, &ON_A_GPU)),
            Err(error) => skip("the models on a graphics adapter", &format!("none opens here ({error})")),
        }
    }
}

#[cfg(target_family = "wasm")]
mod browser {
    use super::*;
    use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

    #[path = "../kernels.rs"]
    mod kernels;

    wasm_bindgen_test_configure!(run_in_dedicated_worker);

    #[wasm_bindgen_test]
    async fn on_the_cpu() {
        kernels::every_kernel(Device::flex()).await;
        agrees(&Device::flex(), &every()).await;
    }

    #[wasm_bindgen_test]
    async fn on_webgpu() {
        let device = Device::wgpu_options().init_async().await.expect("Chromium was started with WebGPU");
        kernels::every_kernel(device.clone()).await;
        agrees(&device, &ON_A_GPU).await;
    }
}
