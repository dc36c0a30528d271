//! temporary diagnosis of helper D
mod common;
use std::sync::Arc;
use burn::tensor::Device;
use common::*;
use common::oracle::parameters;
use duia::config::{Config, Variant};
use duia::data::generator::Generator;
use duia::data::protocol::Dataset;
use duia::message::Side;
use duia::model::batch::{Layout, Loader};
use duia::model::ranker::Ranker;
use duia::train::turn_clocks;
#[test]
fn diag() {
    let config = Config { users: 500, items: 2_000, categories: 60, rows: 8_000, warm_up: 5, ..Config::default() };
    let dataset = Dataset::open(Arc::new(Generator::new(&config)), &config).unwrap();
    let layout = Layout::new(dataset.vocabulary(), config.history);
    let devices = [Device::flex(), block_on(Device::wgpu_options().init_async()).unwrap()];
    let mut runs: Vec<_> = devices.iter().map(|d| (Loader::new(layout, &[Variant::DuiaItems], config.seed, d), dataset.replay(), Ranker::new(&config, Variant::DuiaItems, layout, d))).collect();
    for step in 1..=16u64 {
        let mut seen = Vec::new();
        for (loader, replay, ranker) in &mut runs {
            let batch = loader.load(Arc::new(replay.next_train().unwrap()));
            let g = ranker.backward(&ranker.graph(&batch));
            let lg: Vec<Vec<f64>> = [g.leaves.candidates, g.leaves.requests, g.leaves.users.unwrap(), g.leaves.items.unwrap()].into_iter().map(|t| block_on(read(t))).collect();
            ranker.step(&batch);
            let r = block_on(turn_clocks(ranker, step, 100)).unwrap();
            let tables: Vec<(&str, usize, Vec<f64>)> = vec![("emb", 16, block_on(read(ranker.embeddings().rows()))), ("uvec", 16, block_on(read(ranker.user_vectors().unwrap().rows()))), ("ivec", 16, block_on(read(ranker.item_vectors().unwrap().rows())))];
            let net: Vec<(Vec<usize>, Vec<f64>)> = parameters(ranker.network());
            let beh: Vec<Vec<f64>> = [Side::Users, Side::Items].iter().map(|&s| block_on(read(ranker.behaviours(s).unwrap().rows()))).collect();
            seen.push((tables, net, beh, lg, r));
        }
        let (a, b) = (&seen[0], &seen[1]);
        println!("step {step} reseeded {:?} / {:?}", a.4.iter().map(|(s, r)| (*s, r.centres.len(), r.children.len())).collect::<Vec<_>>(), a.4 == b.4);
        for (i, (x, y)) in a.3.iter().zip(&b.3).enumerate() { println!("   leafgrad {i} worst {:.1e} max {:.1e}", x.iter().zip(y).map(|(p, q)| (p - q).abs()).fold(0.0, f64::max), x.iter().map(|p| p.abs()).fold(0.0, f64::max)); }
        for (i, (x, y)) in a.2.iter().zip(&b.2).enumerate() { println!("   behaviours {i} worst {:.1e}", x.iter().zip(y).map(|(p, q)| (p - q).abs()).fold(0.0, f64::max)); }
        for ((n, w, x), (_, _, y)) in a.0.iter().zip(&b.0) {
            let mut d: Vec<(f64, f64, f64)> = (0..x.len()).filter(|i| i % (3 * w) < *w).map(|i| ((x[i] - y[i]).abs(), x[i + w], x[i + 2 * w].sqrt())).collect();
            d.sort_by(|p, q| q.0.total_cmp(&p.0));
            println!("   {n}: >1e-5: {}; top (diff, m, sqrt v) {:.1e?}", d.iter().filter(|p| p.0 > 1e-5).count(), &d[..3]);
        }
        let mut d: Vec<(f64, usize)> = a.1.iter().zip(&b.1).enumerate().map(|(i, (x, y))| (x.1.iter().zip(&y.1).map(|(p, q)| (p - q).abs()).fold(0.0, f64::max), i)).collect();
        d.sort_by(|p, q| q.0.total_cmp(&p.0));
        println!("   net top {:?}", d[..3].iter().map(|(d, i)| format!("{d:.1e} #{i} {:?}", a.1[*i].0)).collect::<Vec<_>>());
    }
}
