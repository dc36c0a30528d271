//! PLE, the auxiliary loss, Eq. 6 and the gate against a plain f64 oracle and finite differences.

mod common;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use common::*;
use duia::config::StopRule;
use duia::model::auxiliary;
use duia::model::dense::{Init, Linear, Mlp};
use duia::model::ple::{Ple, PleSizes};
use duia::model::uie::{Gate, lend};

const INPUTS: usize = 7;
const SAMPLES: usize = 6;

fn device() -> Device {
    Device::flex().autodiff()
}

fn sizes(levels: &[&[usize]], specific: usize, shared: usize) -> PleSizes {
    PleSizes { tasks: 2, specific, shared, levels: levels.iter().map(|l| l.to_vec()).collect(), tower: vec![4] }
}

/// One layer of a stack as weight and bias, read from the module.
fn layer(linear: &Linear, index: usize) -> (Vec<f64>, Vec<f64>) {
    let pick = |param: &Param<Tensor<3>>| {
        let [_, rows, columns] = param.dims();
        block_on(read(param.val()))[index * rows * columns..][..rows * columns].to_vec()
    };
    (pick(&linear.weight), pick(&linear.bias))
}

fn layers(mlp: &Mlp, index: usize) -> Vec<(Vec<f64>, Vec<f64>)> {
    mlp.layers.iter().map(|linear| layer(linear, index)).collect()
}

/// PLE for one sample, written from the paper: gate `k` sees its own experts and the shared ones, the shared gate all.
fn ple_oracle(ple: &Ple, sizes: &PleSizes, x: &[f64]) -> Vec<f64> {
    let tasks = sizes.tasks;
    let mut streams = vec![x.to_vec(); tasks + 1];
    for (depth, level) in ple.levels.iter().enumerate() {
        let count = tasks * sizes.specific + sizes.shared;
        let owner = |e: usize| (e / sizes.specific).min(tasks);
        let experts: Vec<Vec<f64>> = (0..count).map(|e| mlp(&streams[owner(e)], &layers(&level.experts, e), true)).collect();
        let last = depth + 1 == ple.levels.len();
        let next = (0..if last { tasks } else { tasks + 1 }).map(|k| {
            let (weight, bias) = layer(&level.gates, k);
            let logits = linear(&streams[k], &weight, &bias);
            let seen: Vec<usize> = (0..count).filter(|&e| k == tasks || owner(e) == k || owner(e) == tasks).collect();
            let gate = softmax(&seen.iter().map(|&e| logits[e]).collect::<Vec<_>>());
            let width = experts[0].len();
            (0..width).map(|o| seen.iter().zip(&gate).map(|(&e, g)| g * experts[e][o]).sum()).collect()
        });
        streams = next.collect();
    }
    (0..tasks).map(|k| mlp(&streams[k], &layers(&ple.towers, k), false)[0]).collect()
}

fn inputs() -> Vec<f64> {
    numbers(50, SAMPLES * INPUTS, 1.0)
}

#[test]
fn ple_equals_the_oracle_at_every_depth_and_width() {
    // One level is CGC; the browser's sizes; several experts of several layers.
    for sizes in [sizes(&[&[5]], 1, 1), sizes(&[&[6], &[5]], 1, 1), sizes(&[&[6, 5], &[5, 4]], 2, 3), sizes(&[&[4], &[5], &[3]], 2, 1)] {
        let ple = Ple::new(&Init::new(3, &device()), &sizes, INPUTS);
        let logits = block_on(read(ple.forward(tensor(&inputs(), [SAMPLES, INPUTS], &device()))));
        for s in 0..SAMPLES {
            let expected = ple_oracle(&ple, &sizes, &inputs()[s * INPUTS..][..INPUTS]);
            assert_close(&[logits[s], logits[SAMPLES + s]], &expected, 1e-5);
        }
    }
}

#[test]
fn gates_sum_to_one_and_hide_what_they_may_not_see() {
    let sizes = sizes(&[&[6], &[5]], 2, 1);
    let ple = Ple::new(&Init::new(3, &device()), &sizes, INPUTS);
    let levels = ple.levels(tensor(&inputs(), [SAMPLES, INPUTS], &device()));
    assert_eq!(levels.iter().map(|l| l.gates.dims()[0]).collect::<Vec<_>>(), [3, 2], "the last level has no shared gate");
    for level in levels {
        let [streams, samples, experts] = level.gates.dims();
        for (row, gate) in block_on(read(level.gates)).chunks(experts).enumerate() {
            assert!((gate.iter().sum::<f64>() - 1.0).abs() < 1e-6);
            let other = match row / samples {
                0 => 2..4,
                1 => 0..2,
                _ => 0..0,
            };
            assert!(gate[other].iter().all(|&g| g == 0.0), "stream {} of {streams}", row / samples);
        }
    }
}

/// Gradient of a task's logits in the weights of each expert of a level, summed in absolute value.
fn felt(ple: &Ple, task: usize, level: usize) -> Vec<f64> {
    let logits = ple.forward(tensor(&inputs(), [SAMPLES, INPUTS], &device()));
    let gradients = logits.slice([task..task + 1]).sum().backward();
    let weight = ple.levels[level].experts.layers[0].weight.val();
    let [experts, rows, columns] = weight.dims();
    let gradient = block_on(read(weight.grad(&gradients).unwrap()));
    (0..experts).map(|e| gradient[e * rows * columns..][..rows * columns].iter().map(|g| g.abs()).sum()).collect()
}

#[test]
fn experts_of_another_task_matter_early_and_not_at_the_last_level() {
    let ple = Ple::new(&Init::new(3, &device()), &sizes(&[&[6], &[5]], 1, 1), INPUTS);
    let (early, late) = (felt(&ple, 0, 0), felt(&ple, 0, 1));
    assert!(early[1] > 0.0, "through the shared gate of the first level: {early:?}");
    assert!(late[0] > 0.0 && late[1] == 0.0 && late[2] > 0.0, "{late:?}");
}

#[test]
fn ple_gradients_are_finite_differences() {
    let sizes = sizes(&[&[6], &[5]], 1, 1);
    let ple = Ple::new(&Init::new(3, &device()), &sizes, INPUTS);
    let x = tensor::<2>(&inputs(), [SAMPLES, INPUTS], &device()).require_grad();
    let gradients = ple.forward(x.clone()).slice([0..1]).sum().backward();
    let got = block_on(read(x.grad(&gradients).unwrap()));
    let total = |x: &[f64]| x.chunks(INPUTS).map(|x| ple_oracle(&ple, &sizes, x)[0]).sum::<f64>();
    let expected: Vec<f64> = (0..got.len()).map(|i| slope(total, &inputs(), i)).collect();
    assert_close(&got, &expected, 2e-4);
}

#[test]
fn the_auxiliary_loss_is_equation_1() {
    let m = 4;
    let (user, item) = (numbers(60, SAMPLES * m, 1.5), numbers(61, SAMPLES * m, 1.5));
    let labels = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
    let weights = [1.5, 9.0, 1.9, 9.0, 1.0, 9.0];
    let equation = |user: &[f64]| {
        -(0..SAMPLES)
            .map(|s| {
                let p = sigmoid(dot(&user[s * m..][..m], &item[s * m..][..m]).clamp(-15.0, 15.0));
                if labels[s] > 0.5 { weights[s] * p.ln() } else { (1.0 - p).ln() }
            })
            .sum::<f64>()
            / SAMPLES as f64
    };
    let v_user = tensor::<2>(&user, [SAMPLES, m], &device()).require_grad();
    let v_item = tensor::<2>(&item, [SAMPLES, m], &device());
    let loss = auxiliary::loss(v_user.clone(), v_item, tensor(&labels, [SAMPLES, 1], &device()), tensor(&weights, [SAMPLES, 1], &device()));
    assert_close(&block_on(read(loss.clone())), &[equation(&user)], 1e-5);
    let expected: Vec<f64> = (0..user.len()).map(|i| slope(equation, &user, i)).collect();
    assert_close(&block_on(read(v_user.grad(&loss.backward()).unwrap())), &expected, 1e-4);
}

#[test]
fn the_weight_of_a_positive_is_one_plus_sigmoid_of_the_merge_score() {
    let logits = numbers(62, 2 * SAMPLES, 2.0);
    let expected: Vec<f64> = (0..SAMPLES).map(|s| 1.0 + sigmoid(sigmoid(logits[s]) + sigmoid(logits[SAMPLES + s]))).collect();
    let weight = auxiliary::positive_weight(tensor(&logits, [2, SAMPLES, 1], &Device::flex()));
    assert_close(&block_on(read(weight)), &expected, 1e-6);
}

const M: usize = 4;

/// Users and centres of both levels: sample 0 is positive with both, 1 negative with the second, 2 with both.
fn lent_case() -> (Vec<f64>, Vec<f64>) {
    let v = [[1.0, 0.5, -0.2, 0.1], [0.3, 1.0, 0.2, 0.0], [-1.0, 0.4, 0.0, 0.3]];
    let first = [[0.9, 0.4, 0.0, 0.0], [0.2, 0.8, 0.0, 0.1], [1.0, -0.3, 0.0, 0.0]];
    let second = [[1.1, 0.2, -0.1, 0.0], [-0.5, -0.8, 0.0, 0.0], [0.7, -0.1, 0.2, -0.5]];
    (v.concat(), [first.concat(), second.concat()].concat())
}

#[test]
fn what_is_lent_is_equation_6_or_nothing() {
    let (v, mu) = lent_case();
    let at = |level: usize, s: usize| &mu[(level * 3 + s) * M..][..M];
    for (rule, open, stopped) in [
        (StopRule::Either, [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], [0.0, 1.0, 1.0]),
        (StopRule::PerLevel, [[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]], [0.0, 0.0, 1.0]),
    ] {
        let (users, centres) = (tensor::<2>(&v, [3, M], &Device::flex()), tensor::<3>(&mu, [2, 3, M], &Device::flex()));
        let lent = lend(users.clone(), centres.clone(), users, centres, rule);
        let expected: Vec<f64> = (0..2)
            .flat_map(|level| (0..3).map(move |s| (level, s)))
            .flat_map(|(level, s)| {
                let mu = at(level, s);
                let weight = open[level][s] * sigmoid(dot(&v[s * M..][..M], mu));
                mu.iter().map(|x| weight * x).collect::<Vec<_>>()
            })
            .collect();
        assert_close(&block_on(read(lent.weighted)), &expected, 1e-6);
        assert_eq!(block_on(read(lent.stopped)), stopped);
    }
}

#[test]
fn the_gate_is_gate_nu_and_starts_as_the_identity() {
    let gate = Gate::new(&Init::new(5, &device()), M, 0.1);
    let (v, mu) = lent_case();
    let (users, centres) = (tensor::<2>(&v, [3, M], &device()), tensor::<3>(&mu, [2, 3, M], &device()));
    let lent = lend(users.clone(), centres.clone(), users, centres, StopRule::PerLevel);
    let weighted = block_on(read(lent.weighted.clone()));
    let (personal, item) = (numbers(70, 3 * M, 0.5), numbers(71, 3 * M, 1.0));
    let out = gate.forward(lent, tensor(&personal, [3, M], &device()), tensor(&item, [3, M], &device()));
    let (delta, features) = (block_on(read(out.delta)), block_on(read(out.features)));
    let width = Gate::outputs(M);
    for level in 0..2 {
        for s in 0..3 {
            let lent = &weighted[(level * 3 + s) * M..][..M];
            let z: Vec<f64> = lent.iter().chain(&personal[s * M..][..M]).copied().collect();
            let (hidden, out) = (layer(&gate.hidden, level), layer(&gate.out, level));
            let x: Vec<f64> = linear(&z, &hidden.0, &hidden.1).into_iter().map(|x| x.max(0.0)).collect();
            let expected: Vec<f64> = linear(&x, &out.0, &out.1).into_iter().map(|x| 2.0 * sigmoid(x)).collect();
            let got = &delta[(level * 3 + s) * M..][..M];
            assert_close(got, &expected, 1e-5);
            assert!(got.iter().all(|d| (d - 1.0).abs() < 0.05), "a fresh gate lets everything through: {got:?}");
            let e: Vec<f64> = got.iter().zip(lent).map(|(d, w)| d * w).collect();
            let norm = |x: &[f64]| (dot(x, x) / M as f64 + 1e-6).sqrt();
            let item = &item[s * M..][..M];
            let fit = 0.1 * dot(&e, item) / M as f64 / norm(&e) / norm(item);
            let scaled: Vec<f64> = e.iter().map(|x| 0.1 * x / norm(&e)).chain([fit]).collect();
            assert_close(&features[s * width + level * (M + 1)..][..M + 1], &scaled, 1e-5);
        }
    }
}

#[test]
fn two_variants_start_shared_layers_with_the_same_numbers() {
    struct First(Option<Vec<f64>>);
    impl ModuleVisitor for First {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.get_or_insert_with(|| block_on(read(param.val())));
        }
    }
    let start = |seed| {
        let mut first = First(None);
        Linear::with_deviation(&Init::new(seed, &device()), "x", 1, 3, 2, 1.0).visit(&mut first);
        first.0.unwrap()
    };
    let wide = layer(&Linear::with_deviation(&Init::new(1, &device()), "x", 1, 5, 2, 1.0), 0).0;
    assert_eq!(wide[..6], start(1)[..], "more inputs add rows and change none");
    assert_ne!(start(1), start(2));
}
