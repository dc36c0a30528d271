//! Twenty steps of every variant from one seed give the same run everywhere: on the CPU natively, on the CPU in a
//! browser, and on a graphics adapter in both. Held against a trajectory that the native CPU wrote:
//! `DUIA_GOLDEN=write cargo test --release --test agreement`.

mod common;

use std::sync::Arc;

use burn::tensor::Device;
use duia::config::{Config, Variant};
use duia::data::generator::Generator;
use duia::data::protocol::Dataset;
use duia::model::ranker::{Layout, Loader, Ranker};
use duia::train::{read_losses, turn_clock};
use serde::{Deserialize, Serialize};

const STEPS: u64 = 20;
/// Largest difference of a loss.
const LOSS_BOUND: f32 = 1e-3;
/// Smallest share of samples that fall in the same centres.
const SAME_CENTRES: f64 = 0.99;

const GOLDEN: &str = include_str!("golden/trajectory.json");

/// What a run leaves to compare.
#[derive(Serialize, Deserialize)]
struct Trajectory {
    /// Losses, step by step and variant by variant.
    losses: Vec<f32>,
    /// `[samples, 2]`: the centres of the last batch.
    assigned: Vec<i32>,
}

async fn trajectory(device: &Device) -> Trajectory {
    let config = Config { users: 500, items: 2_000, categories: 60, rows: 8_000, warm_up: 5, ..Config::default() };
    let dataset = Dataset::open(Arc::new(Generator::new(&config)), &config).unwrap();
    let layout = Layout::new(dataset.vocabulary(), config.history);
    let (mut loader, mut replay) = (Loader::new(layout, device), dataset.replay());
    let mut rankers = Variant::ALL.map(|variant| Ranker::new(&config, variant, layout, device));
    let mut losses = Vec::new();
    for step in 1..=STEPS {
        let batch = loader.load(Arc::new(replay.next_train().unwrap()));
        for ranker in &mut rankers {
            ranker.step(&batch);
            turn_clock(ranker, step, 100).await.unwrap();
        }
        for l in read_losses(&rankers).await.unwrap() {
            losses.extend([Some(l.mtl), l.auxiliary, l.uie_l1, l.uie_l2].into_iter().flatten());
        }
    }
    let (assigned, _) = rankers[1].last().unwrap().chosen.clone().unwrap();
    Trajectory { losses, assigned: assigned.into_data_async().await.unwrap().try_into_vec().unwrap() }
}

async fn agrees(device: &Device) {
    let (here, golden) = (trajectory(device).await, serde_json::from_str::<Trajectory>(GOLDEN).unwrap());
    assert_eq!(here.losses.len(), golden.losses.len());
    let worst = here.losses.iter().zip(&golden.losses).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= LOSS_BOUND, "a loss is off by {worst}");
    let same = here.assigned.chunks(2).zip(golden.assigned.chunks(2)).filter(|(a, b)| a == b).count();
    let share = same as f64 / (golden.assigned.len() / 2) as f64;
    assert!(share >= SAME_CENTRES, "only {share} of the samples fall in the same centres");
}

#[cfg(not(target_family = "wasm"))]
mod native {
    use super::*;
    use common::block_on;

    #[test]
    fn on_the_cpu() {
        if std::env::var("DUIA_GOLDEN").is_ok_and(|wish| wish == "write") {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/trajectory.json");
            std::fs::write(path, serde_json::to_string(&block_on(trajectory(&Device::flex()))).unwrap()).unwrap();
            return;
        }
        block_on(agrees(&Device::flex()));
    }

    #[test]
    fn on_a_graphics_adapter() {
        match block_on(Device::wgpu_options().init_async()) {
            Ok(device) => block_on(agrees(&device)),
            Err(error) => eprintln!("skipped: no graphics adapter opens here ({error})"),
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
        agrees(&Device::flex()).await;
    }

    #[wasm_bindgen_test]
    async fn on_webgpu() {
        let device = Device::wgpu_options().init_async().await.expect("Chromium was started with WebGPU");
        kernels::every_kernel(device.clone()).await;
        agrees(&device).await;
    }
}
