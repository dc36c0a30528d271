//! PLE, the auxiliary loss, Eq. 6, the generalization layer and the two adaptations against a plain f64 oracle and finite
//! differences.

mod common;

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use common::oracle::{EnhancementOracle, Layer, PleOracle, layer, layers, parameters};
use common::training::{FILLED, Trained, config};
use common::*;
use duia::config::StopRule;
use duia::counter::{Counter, Stream};
use duia::data::Vocabulary;
use duia::data::protocol::{Batch, NO_ROW};
use duia::model::batch::Layout;
use duia::model::component::{GraphLoss, Towers};
use duia::model::components::auxiliary::{self, AuxiliaryModel};
use duia::model::components::contrastive::{ContrastiveLearning, info_nce};
use duia::model::components::poso::Poso;
use duia::model::components::transfer::{FEW, Transfer, TransferLearning};
use duia::model::components::uie::interest;
use duia::model::layers::dense::{Init, Linear, Mlp};
use duia::model::layers::enhancement::{Enhancement, Enhancing, Form, Gate, Means};
use duia::model::layers::ple::{Ple, PleSizes};
use duia::model::ranker::Ranker;
use duia::variants::Variant;

const REQUESTS: usize = 2;
const CANDIDATES: usize = 3;
const SAMPLES: usize = REQUESTS * CANDIDATES;
const OF_REQUEST: usize = 4;
const OF_CANDIDATE: usize = 3;

fn device() -> Device {
    Device::flex().autodiff()
}

fn sizes(levels: &[&[usize]], specific: usize, shared: usize) -> PleSizes {
    PleSizes { tasks: 2, specific, shared, levels: levels.iter().map(|l| l.to_vec()).collect(), tower: vec![4] }
}

fn floats(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

/// A PLE with biases, which at the start are 0 and would hide a mistake.
fn ple(sizes: &PleSizes) -> Ple {
    let mut ple = Ple::new(&Init::new(3, &device()), sizes, [OF_REQUEST, OF_CANDIDATE], OF_REQUEST + OF_CANDIDATE);
    let [_, outputs] = ple.first.joint.bias.dims();
    ple.first.joint.bias = Param::from_data(TensorData::new(floats(&numbers(51, outputs, 0.5)), [1, outputs]), &device());
    for level in &mut ple.levels {
        let shape = level.gates.bias.dims();
        let values = floats(&numbers(52, shape.iter().product(), 0.5));
        level.gates.bias = Param::from_data(TensorData::new(values, shape), &device());
    }
    ple
}

/// Features of requests and of their candidates.
fn inputs() -> (Vec<f64>, Vec<f64>) {
    (numbers(50, REQUESTS * OF_REQUEST, 1.0), numbers(53, SAMPLES * OF_CANDIDATE, 1.0))
}

fn on_device((request, candidate): &(Vec<f64>, Vec<f64>)) -> (Tensor<2>, Tensor<2>) {
    (tensor(request, [REQUESTS, OF_REQUEST], &device()), tensor(candidate, [SAMPLES, OF_CANDIDATE], &device()))
}

fn logits(oracle: &PleOracle, request: &[f64], candidate: &[f64]) -> Vec<Vec<f64>> {
    let of_request = |s: usize| &request[s / CANDIDATES * OF_REQUEST..][..OF_REQUEST];
    (0..SAMPLES).map(|s| oracle.logits(of_request(s), &candidate[s * OF_CANDIDATE..][..OF_CANDIDATE])).collect()
}

#[test]
fn ple_equals_the_oracle_at_every_depth_and_width() {
    // One level is CGC; the browser's sizes; several experts of several layers.
    for sizes in [sizes(&[&[5]], 1, 1), sizes(&[&[6], &[5]], 1, 1), sizes(&[&[6, 5], &[5, 4]], 2, 3), sizes(&[&[4], &[5], &[3]], 2, 1)] {
        let (ple, (request, candidate)) = (ple(&sizes), on_device(&inputs()));
        let got = block_on(read(ple.forward(request, candidate, &[])));
        let expected = logits(&PleOracle::new(&ple, sizes.specific, sizes.shared), &inputs().0, &inputs().1);
        for (s, expected) in expected.iter().enumerate() {
            assert_close(&[got[s], got[SAMPLES + s]], expected, 1e-5);
        }
    }
}

#[test]
fn gates_sum_to_one_and_hide_what_they_may_not_see() {
    for widths in [[6].as_slice(), &[6, 4]] {
        let (ple, (request, candidate)) = (ple(&sizes(&[widths, &[5]], 2, 1)), on_device(&inputs()));
        let levels = ple.levels(request, candidate);
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
}

/// Gradient of a task's logits in the first weights of each expert of a level, summed in absolute value.
fn felt(ple: &Ple, task: usize, level: usize) -> Vec<f64> {
    let (request, candidate) = on_device(&inputs());
    let gradients = ple.forward(request, candidate, &[]).slice([task..task + 1]).sum().backward();
    if level > 0 {
        let weight = ple.levels[level - 1].experts.layers[0].weight.val();
        let length = weight.dims()[1] * weight.dims()[2];
        let gradient = block_on(read(weight.grad(&gradients).unwrap()));
        return gradient.chunks(length).map(|expert| expert.iter().map(|g| g.abs()).sum()).collect();
    }
    // Three experts of six columns, then the gates.
    let weight = ple.first.joint.request.val();
    let columns = weight.dims()[1];
    let gradient = block_on(read(weight.grad(&gradients).unwrap()));
    let of_expert = |e: usize| gradient.chunks(columns).flat_map(move |row| row[e * 6..][..6].iter().map(|g| g.abs()));
    (0..3).map(|e| of_expert(e).sum()).collect()
}

#[test]
fn experts_of_another_task_matter_early_and_not_at_the_last_level() {
    let two = ple(&sizes(&[&[6], &[5]], 1, 1));
    let (early, late) = (felt(&two, 0, 0), felt(&two, 0, 1));
    assert!(early[1] > 0.0, "through the shared gate of the first level: {early:?}");
    assert!(late[0] > 0.0 && late[1] == 0.0 && late[2] > 0.0, "{late:?}");
    let cgc = felt(&ple(&sizes(&[&[6]], 1, 1)), 1, 0);
    assert!(cgc[0] == 0.0 && cgc[1] > 0.0 && cgc[2] > 0.0, "one level is the last: {cgc:?}");
}

#[test]
fn ple_gradients_are_finite_differences() {
    for sizes in [sizes(&[&[6], &[5]], 1, 1), sizes(&[&[6, 4], &[5]], 1, 1)] {
        let (ple, (request, candidate)) = (ple(&sizes), inputs());
        let oracle = PleOracle::new(&ple, 1, 1);
        let (of_request, of_candidate) = on_device(&inputs());
        let (of_request, of_candidate) = (of_request.require_grad(), of_candidate.require_grad());
        let gradients = ple.forward(of_request.clone(), of_candidate.clone(), &[]).slice([0..1]).sum().backward();
        let total = |request: &[f64], candidate: &[f64]| logits(&oracle, request, candidate).iter().map(|l| l[0]).sum::<f64>();
        let in_request: Vec<f64> = (0..request.len()).map(|i| slope(|x| total(x, &candidate), &request, i)).collect();
        let in_candidate: Vec<f64> = (0..candidate.len()).map(|i| slope(|x| total(&request, x), &candidate, i)).collect();
        assert_close(&block_on(read(of_request.grad(&gradients).unwrap())), &in_request, 2e-4);
        assert_close(&block_on(read(of_candidate.grad(&gradients).unwrap())), &in_candidate, 2e-4);
    }
}

const M: usize = 4;

#[test]
fn the_auxiliary_loss_is_equation_1_over_requests_and_candidates() {
    let (user, item) = (numbers(60, REQUESTS * M, 1.5), numbers(61, SAMPLES * M, 1.5));
    let labels = [1.0, 0.0, 0.0, 0.0, 1.0, 1.0];
    let weights = [1.5, 9.0, 9.0, 9.0, 1.9, 1.0];
    let equation = |user: &[f64], item: &[f64]| {
        let of_sample = (0..SAMPLES).map(|s| {
            let p = sigmoid(dot(&user[s / CANDIDATES * M..][..M], &item[s * M..][..M]).clamp(-15.0, 15.0));
            if labels[s] > 0.5 { weights[s] * p.ln() } else { (1.0 - p).ln() }
        });
        -of_sample.sum::<f64>() / SAMPLES as f64
    };
    let v_user = tensor::<2>(&user, [REQUESTS, M], &device()).require_grad();
    let v_item = tensor::<2>(&item, [SAMPLES, M], &device()).require_grad();
    let (y, w) = (tensor(&labels, [SAMPLES, 1], &device()), tensor(&weights, [SAMPLES, 1], &device()));
    let loss = auxiliary::loss(Towers { v_user: v_user.clone(), v_item: v_item.clone() }, y, w);
    assert_close(&block_on(read(loss.clone())), &[equation(&user, &item)], 1e-5);
    let gradients = loss.backward();
    let in_user: Vec<f64> = (0..user.len()).map(|i| slope(|x| equation(x, &item), &user, i)).collect();
    let in_item: Vec<f64> = (0..item.len()).map(|i| slope(|x| equation(&user, x), &item, i)).collect();
    assert_close(&block_on(read(v_user.grad(&gradients).unwrap())), &in_user, 1e-4);
    assert_close(&block_on(read(v_item.grad(&gradients).unwrap())), &in_item, 1e-4);
}

#[test]
fn the_weight_of_a_positive_is_one_plus_sigmoid_of_the_merge_score() {
    let logits = numbers(62, 2 * SAMPLES, 2.0);
    let expected: Vec<f64> = (0..SAMPLES).map(|s| 1.0 + sigmoid(sigmoid(logits[s]) + sigmoid(logits[SAMPLES + s]))).collect();
    let weight = auxiliary::positive_weight(tensor(&logits, [2, SAMPLES, 1], &Device::flex()));
    assert_close(&block_on(read(weight)), &expected, 1e-6);
}

/// Users and centres of both levels: sample 0 is positive with both, 1 negative with the second, 2 with both.
fn equation_6_case() -> (Vec<f64>, Vec<f64>) {
    let v = [[1.0, 0.5, -0.2, 0.1], [0.3, 1.0, 0.2, 0.0], [-1.0, 0.4, 0.0, 0.3]];
    let first = [[0.9, 0.4, 0.0, 0.0], [0.2, 0.8, 0.0, 0.1], [1.0, -0.3, 0.0, 0.0]];
    let second = [[1.1, 0.2, -0.1, 0.0], [-0.5, -0.8, 0.0, 0.0], [0.7, -0.1, 0.2, -0.5]];
    (v.concat(), [first.concat(), second.concat()].concat())
}

#[test]
fn the_vectors_of_uie_are_equation_6_or_zero() {
    let (v, mu) = equation_6_case();
    for (rule, open, stopped) in [
        (StopRule::Either, [1.0, 0.0, 0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0]),
        (StopRule::PerLevel, [1.0, 1.0, 0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0]),
    ] {
        let equation = |mu: &[f64]| -> Vec<f64> {
            let of_row = |row: usize| {
                let (mu, v) = (&mu[row * M..][..M], &v[row % 3 * M..][..M]);
                mu.iter().map(move |x| open[row] * sigmoid(dot(v, mu)) * x)
            };
            (0..6).flat_map(of_row).collect()
        };
        let (users, centres) = (tensor::<2>(&v, [3, M], &device()), tensor::<3>(&mu, [2, 3, M], &device()).require_grad());
        let found = interest(users.clone(), centres.clone(), users, centres.clone().detach(), rule);
        assert_close(&block_on(read(found.weighted.clone())), &equation(&mu), 1e-6);
        assert_eq!(block_on(read(found.stopped)), stopped);
        // The option that lets the ranker's loss reach centres differentiates Eq. 6 in them.
        let chosen = numbers(63, mu.len(), 1.0);
        let gradients = (found.weighted * tensor(&chosen, [2, 3, M], &device())).sum().backward();
        let expected: Vec<f64> = (0..mu.len()).map(|i| slope(|mu| dot(&equation(mu), &chosen), &mu, i)).collect();
        assert_close(&block_on(read(centres.grad(&gradients).unwrap())), &expected, 1e-4);
    }
}

#[test]
fn the_gate_is_gate_nu_starts_as_the_identity_and_z_stops_the_gradient_of_what_is_lent() {
    let gate = Gate::new(&Init::new(5, &device()), "users", 2, M);
    let (raw, personal) = (numbers(72, 2 * 3 * M, 1.0), numbers(70, 3 * M, 0.5));
    let on_graph = tensor::<3>(&raw, [2, 3, M], &device()).require_grad();
    let of_user = tensor::<2>(&personal, [3, M], &device()).require_grad();
    let gated = gate.forward(on_graph.clone(), of_user.clone());
    let oracle = EnhancementOracle {
        gates: (0..2).map(|g| [layer(&gate.hidden, g), layer(&gate.out, g)]).collect(),
        scale: Vec::new(),
        means: Vec::new(),
    };
    let of_row = |row: usize, personal: &[f64]| oracle.delta(row / 3, &raw[row * M..][..M], &personal[row % 3 * M..][..M]);
    let delta: Vec<f64> = (0..6).flat_map(|row| of_row(row, &personal)).collect();
    assert!(delta.iter().all(|d| (d - 1.0).abs() < 0.05), "a fresh gate lets everything through: {delta:?}");
    let all =
        |personal: &[f64]| -> Vec<f64> { (0..6).flat_map(|row| of_row(row, personal)).zip(&raw).map(|(delta, raw)| delta * raw).collect() };
    assert_close(&block_on(read(gated.clone())), &all(&personal), 1e-5);
    let gradients = gated.sum().backward();
    assert_close(&block_on(read(on_graph.grad(&gradients).unwrap())), &delta, 1e-5);
    let expected: Vec<f64> = (0..personal.len()).map(|i| slope(|p| all(p).iter().sum(), &personal, i)).collect();
    assert_close(&block_on(read(of_user.grad(&gradients).unwrap())), &expected, 1e-4);
}

/// An enhancement of two gated vectors and a plain one, fitted or not, whose parameters are far from the identity that they
/// start at.
fn enhancement(fitted: bool) -> Enhancement {
    let form = Form { is_fitted: fitted, scale: 0.1 };
    let mut enhancement = Enhancement::new(&Init::new(6, &device()), "users", [2, 1], M, Some(form));
    let columns = M + usize::from(fitted);
    let scale = floats(&numbers(73, 3 * columns, 0.7));
    enhancement.scale = Some(Param::from_data(TensorData::new(scale, [3, 1, columns]), &device()));
    enhancement
}

/// One side's enhancement and its gradients: `n` rows against `others` rows of the other side, of which one
/// counts requests and the other samples.
fn enhancement_is_the_oracles(n: usize, others: usize, fitted: bool) {
    let (gated, plain) = (numbers(74, 2 * n * M, 1.0), numbers(75, n * M, 1.0));
    let (personal, other) = (numbers(76, n * M, 1.0), numbers(77, others * M, 1.0));
    let module = enhancement(fitted);
    let (mut means, of_means) = (Means::new(3, M, 0.05, &Device::flex()), numbers(80, 4 * M, 0.5));
    means.restore(tensor::<2>(&of_means, [4, M], &device()).inner());
    let kept: Vec<f64> = (0..n).map(|r| f64::from(u8::from(r % 3 != 1))).collect();
    let oracle = EnhancementOracle::new(&module, Some(&means));
    let (chosen, chosen_fits) = (numbers(78, n * 3 * M, 1.0), numbers(79, SAMPLES * 3, 1.0));
    let row = |table: &[f64], row: usize| table[row * M..][..M].to_vec();
    // Vectors of every row, then the fits of every sample; the gates' z stays what it was.
    let told = |raw: &[f64], plain: &[f64], personal: &[f64], oracle: &EnhancementOracle| -> Vec<f64> {
        let forward = |r: usize, o: usize| {
            let z = [row(&gated, r), row(&gated, n + r), row(plain, r)];
            let raw = [row(raw, r), row(raw, n + r), row(plain, r)];
            oracle.forward(&raw, &z, &row(personal, r), &row(&other, o), kept[r] == 0.0)
        };
        let vectors = (0..n).flat_map(|r| forward(r, r * others / n).0);
        let fits = (0..SAMPLES).flat_map(|s| forward(s * n / SAMPLES, s * others / SAMPLES).1);
        vectors.chain(fits).collect()
    };
    let (raw, bare) = (tensor::<3>(&gated, [2, n, M], &device()).require_grad(), tensor::<3>(&plain, [1, n, M], &device()).require_grad());
    let own = tensor::<2>(&personal, [n, M], &device()).require_grad();
    let enhancing = Enhancing {
        gated: Some(raw.clone()),
        plain: Some(bare.clone()),
        personal: Some(own.clone()),
        kept: Some(tensor::<2>(&kept, [n, 1], &device()).inner()),
    };
    let features = module.forward(enhancing, tensor::<2>(&other, [others, M], &device()).inner(), Some(&means));
    let fits = features.fits.clone().map_or(Vec::new(), |fits| block_on(read(fits)));
    assert_eq!(fits.len(), if fitted { 3 * SAMPLES } else { 0 });
    let got = [block_on(read(features.vectors.clone())), fits].concat();
    assert_close(&got, &told(&gated, &plain, &personal, &oracle), 1e-5);

    let loss = (features.vectors * tensor(&chosen, [n, 3 * M], &device())).sum();
    let of_fits = features.fits.map(|fits| (fits * tensor(&chosen_fits, [SAMPLES, 3], &device())).sum());
    let gradients = of_fits.into_iter().fold(loss, |loss, of_fits| loss + of_fits).backward();
    let all = [chosen, if fitted { chosen_fits } else { Vec::new() }].concat();
    let slopes =
        |x: &[f64], f: &dyn Fn(&[f64]) -> Vec<f64>| -> Vec<f64> { (0..x.len()).map(|i| slope(|x| dot(&f(x), &all), x, i)).collect() };
    let in_raw = slopes(&gated, &|x| told(x, &plain, &personal, &oracle));
    let in_plain = slopes(&plain, &|x| told(&gated, x, &personal, &oracle));
    let in_personal = slopes(&personal, &|x| told(&gated, &plain, x, &oracle));
    let in_scale = slopes(&oracle.scale.concat(), &|x| {
        let scale = x.chunks(M + usize::from(fitted)).map(<[f64]>::to_vec).collect();
        told(&gated, &plain, &personal, &EnhancementOracle { scale, ..oracle.clone() })
    });
    assert_close(&block_on(read(raw.grad(&gradients).unwrap())), &in_raw, 2e-4);
    assert_close(&block_on(read(bare.grad(&gradients).unwrap())), &in_plain, 2e-4);
    assert_close(&block_on(read(own.grad(&gradients).unwrap())), &in_personal, 2e-4);
    assert_close(&block_on(read(module.scale.expect("a scale").val().grad(&gradients).unwrap())), &in_scale, 2e-4);
}

#[test]
fn the_user_sides_enhancement_is_the_oracles_with_its_gradients() {
    enhancement_is_the_oracles(REQUESTS, SAMPLES, true);
}

#[test]
fn the_item_sides_enhancement_is_the_oracles_with_its_gradients() {
    enhancement_is_the_oracles(SAMPLES, REQUESTS, false);
}

#[test]
fn a_stopped_users_zero_stays_zero() {
    let enhancing = Enhancing {
        gated: Some(Tensor::zeros([2, 1, M], &device())),
        plain: Some(Tensor::zeros([1, 1, M], &device())),
        personal: Some(Tensor::ones([1, M], &device())),
        kept: None,
    };
    let mut means = Means::new(3, M, 0.05, &Device::flex());
    means.restore(Tensor::ones([4, M], &Device::flex()));
    let features = enhancement(true).forward(enhancing, Tensor::ones([CANDIDATES, M], &Device::flex()) * 2.0, Some(&means));
    assert_eq!(block_on(read(features.vectors)), [0.0; 3 * M]);
    assert_eq!(block_on(read(features.fits.unwrap())), [0.0; 3 * CANDIDATES]);
}

/// InfoNCE on cosines at a temperature of 0.1, by the book.
fn info_nce_oracle(a: &[Vec<f64>], b: &[Vec<f64>], takes_part: &[bool]) -> f64 {
    let rows: Vec<usize> = (0..a.len()).filter(|&i| takes_part[i]).collect();
    let of_row = |&i: &usize| {
        let pull = |j: usize| (dot(&a[i], &b[j]) / 0.1).exp();
        -(pull(i) / rows.iter().map(|&j| pull(j)).sum::<f64>()).ln()
    };
    rows.iter().map(of_row).sum::<f64>() / rows.len().max(1) as f64
}

#[test]
fn info_nce_is_its_formula_over_those_who_take_part() {
    let (a, b) = (numbers(80, 5 * M, 0.3), numbers(81, 5 * M, 0.3));
    let rows = |x: &[f64]| x.chunks(M).map(<[f64]>::to_vec).collect::<Vec<_>>();
    for takes_part in [[true, false, true, true, false], [true; 5], [false; 5]] {
        let weights = takes_part.map(|part| f64::from(u8::from(part)));
        let (x, y) = (tensor::<2>(&a, [5, M], &device()).require_grad(), tensor::<2>(&b, [5, M], &device()).require_grad());
        let loss = info_nce(x.clone(), y.clone(), tensor(&weights, [5, 1], &device()));
        assert_close(&block_on(read(loss.clone())), &[info_nce_oracle(&rows(&a), &rows(&b), &takes_part)], 1e-5);
        let gradients = loss.backward();
        let in_a: Vec<f64> = (0..a.len()).map(|i| slope(|a| info_nce_oracle(&rows(a), &rows(&b), &takes_part), &a, i)).collect();
        let in_b: Vec<f64> = (0..b.len()).map(|i| slope(|b| info_nce_oracle(&rows(&a), &rows(b), &takes_part), &b, i)).collect();
        assert_close(&block_on(read(x.grad(&gradients).unwrap())), &in_a, 2e-4);
        assert_close(&block_on(read(y.grad(&gradients).unwrap())), &in_b, 2e-4);
    }
}

/// Mutual information of two features, by counting.
fn information(a: &[i64], b: &[i64]) -> f64 {
    let n = a.len() as f64;
    let count = |of: &dyn Fn(usize) -> bool| (0..a.len()).filter(|&i| of(i)).count() as f64 / n;
    let of_row = |i: usize| (count(&|j| a[j] == a[i] && b[j] == b[i]) / count(&|j| a[j] == a[i]) / count(&|j| b[j] == b[i])).ln();
    (0..a.len()).map(of_row).sum::<f64>() / n
}

/// The features that the first view masks: a seed and the two that tell most of it.
fn masked(batch: &Batch, seed: usize) -> Vec<usize> {
    let newest = |history: &[u32]| history.iter().step_by(batch.history).map(|&id| i64::from(id)).collect::<Vec<_>>();
    let whole = |ids: &[u32]| ids.iter().map(|&id| i64::from(id)).collect::<Vec<_>>();
    let views = batch.counts.iter().step_by(4).map(|&count| (20.0 * count) as i64).collect();
    let features = [whole(&batch.user), whole(&batch.activity), newest(&batch.history_items), newest(&batch.history_categories), views];
    let mut others: Vec<usize> = (0..5).filter(|&other| other != seed).collect();
    others.sort_by(|&a, &b| information(&features[seed], &features[b]).total_cmp(&information(&features[seed], &features[a])));
    vec![seed, others[0], others[1]]
}

fn rows_of(tensor: Tensor<2>) -> Vec<Vec<f64>> {
    let width = tensor.dims()[1];
    block_on(read(tensor)).chunks(width).map(<[f64]>::to_vec).collect()
}

#[test]
fn the_loss_of_ple_with_cl_is_info_nce_of_two_masked_views() {
    let mut trained = Trained::new(&config(), Variant::Contrastive);
    // Late enough for low-active users to have a history.
    let batch = (0..30).map(|_| trained.next()).last().unwrap();
    let on_device = trained.load(batch.clone());
    let graph = trained.ranker().graph(&on_device);
    let d = trained.config.embedding;
    // Correlations are those of the first batch of the stream.
    let seed = Counter::new(trained.config.seed, Stream::Views).lane(u64::MAX).below(FILLED, 5) as usize;
    let first = masked(&trained.dataset.replay().next_train().unwrap(), seed);
    let tower: Vec<Layer> = {
        let all = parameters(trained.ranker().parts::<ContrastiveLearning>().next().unwrap().module());
        all.chunks(2).map(|layer| (layer[0].1.clone(), layer[1].1.clone())).collect()
    };
    let (requests, views) = (rows_of(graph.leaves.requests.clone()), rows_of(graph.leaves.views[1].1.clone()));
    let embed = |r: usize, view: usize| {
        let counts = batch.counts[r * 4..][..4].iter().map(|&x| f64::from(x)).collect();
        let features = [requests[r][..2 * d].to_vec(), views[r][2 * view * d..][..2 * d].to_vec(), counts].concat();
        let is_masked = |k: usize| first.contains(&(k / d).min(4)) == (view == 0);
        let seen: Vec<f64> = features.iter().enumerate().map(|(k, x)| if is_masked(k) { 0.0 } else { *x }).collect();
        let z = mlp(&seen, &tower, false);
        z.iter().map(|x| x / dot(&z, &z).sqrt()).collect::<Vec<f64>>()
    };
    let [a, b] = [0, 1].map(|view| (0..batch.requests).map(|r| embed(r, view)).collect::<Vec<_>>());
    // A user's first request with a history; one without any has nothing to hide in a view.
    let may = |r: usize| batch.low_active[r] && batch.history_items[r * batch.history] != NO_ROW;
    let takes_part: Vec<bool> = (0..batch.requests).map(|r| may(r) && !(0..r).any(|s| may(s) && batch.user[s] == batch.user[r])).collect();
    assert!(takes_part.iter().filter(|part| **part).count() > 1, "a batch with low-active users");
    let GraphLoss { value: loss, weight, .. } = graph.loss_named("loss_adaptation").unwrap();
    assert_close(&block_on(read(loss.clone())), &[info_nce_oracle(&a, &b, &takes_part)], 1e-4);
    let whole = block_on(read(graph.mtl.clone()))[0] + trained.config.contrastive_weight * block_on(read(loss.clone()))[0];
    assert_eq!(*weight, trained.config.contrastive_weight);
    assert_close(&block_on(read(graph.loss())), &[whole], 1e-6);
}

/// Batches and the ids of their views, by view, item and category of each place together.
fn view_ids(variant: Variant) -> Vec<(Batch, Vec<Vec<[i32; 2]>>)> {
    let mut trained = Trained::new(&config(), variant);
    let mut of_batch = || {
        let batch = trained.next();
        let on_device = trained.load(batch.clone());
        let ids: Vec<i32> = on_device.fields(trained.ranker().views()).views[1].1.flat().into_data().try_into_vec().unwrap();
        let h = batch.history;
        let views = ids.chunks(2 * h).map(|view| (0..h).map(|place| [view[place], view[h + place]]).collect());
        (batch, views.collect())
    };
    (0..60).map(|_| of_batch()).collect()
}

/// What a place of a history is as ids of the table; -1 for padding.
fn place(batch: &Batch, r: usize, place: usize) -> [i32; 2] {
    let at = r * batch.history + place;
    let (item, category) = (batch.history_items[at], batch.history_categories[at]);
    if item == NO_ROW { [-1, -1] } else { [item as i32, (config().items + category) as i32] }
}

#[test]
fn views_drop_three_values_in_ten_of_low_active_users_and_nobody_else_has_any() {
    let (mut there, mut dropped, mut differ) = (0, 0, 0);
    for (batch, views) in view_ids(Variant::Contrastive) {
        for (index, view) in views.iter().enumerate() {
            let r = index / 2;
            for (at, seen) in view.iter().enumerate() {
                let whole = place(&batch, r, at);
                assert!(*seen == whole || *seen == [-1, -1], "item and category go together");
                assert!(batch.low_active[r] || *seen == [-1, -1]);
                if batch.low_active[r] && whole != [-1, -1] {
                    there += 1;
                    dropped += usize::from(*seen == [-1, -1]);
                }
            }
            differ += usize::from(index % 2 == 1 && views[index - 1] != *view);
        }
    }
    let share = dropped as f64 / there as f64;
    assert!(there > 500 && (share - 0.3).abs() < 0.06, "{share} of {there}");
    assert!(differ > 50, "the two views of a user are two: {differ}");
}

#[test]
fn the_short_history_is_the_newest_few_and_the_other_one_all_of_it() {
    for (batch, views) in view_ids(Variant::Transfer) {
        assert_eq!(views.len(), 2 * batch.requests);
        for (index, view) in views.iter().enumerate() {
            let r = index / 2;
            for (at, seen) in view.iter().enumerate() {
                assert_eq!(*seen, if at < FEW || index % 2 == 1 { place(&batch, r, at) } else { [-1, -1] });
            }
        }
    }
}

#[test]
fn rankers_learn_from_the_window_behaviour_by_behaviour_and_some_sanity_rows_do_not() {
    for variant in [Variant::Long, Variant::Newest, Variant::Ple, Variant::Duia] {
        let mut trained = Trained::new(&config(), variant);
        // Late enough for histories of some length.
        let batch = (0..30).map(|_| trained.next()).last().unwrap();
        let on_device = trained.load(batch.clone());
        let views = &on_device.fields(trained.ranker().views()).views;
        let names: Vec<&str> = views.iter().map(|(name, _)| *name).collect();
        let own: &[&str] = match variant {
            Variant::Long => &["whole"],
            Variant::Newest => &[],
            _ => &["window"],
        };
        assert_eq!(names, own);
        let Some((name, ids)) = views.first() else { continue };
        let ids: Vec<i32> = ids.flat().into_data().try_into_vec().unwrap();
        let window = |r: usize| (0..8).map(move |at| (r, at));
        let expected: Vec<i32> = match *name {
            "window" => (0..batch.requests).flat_map(window).flat_map(|(r, at)| place(&batch, r, at)).collect(),
            _ => (0..batch.requests)
                .flat_map(|r| (0..2).flat_map(move |kind| window(r).map(move |at| (at, kind))))
                .map(|((r, at), kind)| place(&batch, r, at)[kind])
                .collect(),
        };
        assert_eq!(ids, expected);
    }
}

#[test]
fn the_loss_of_ple_with_tl_leads_few_to_many_on_high_active_users_alone() {
    let (inputs, n, low) = (6, 4, [1.0, 0.0, 0.0, 1.0]);
    let module = Transfer::new(&Init::new(9, &device()), inputs, &[5, 3]);
    let all: Vec<Layer> = parameters(&module).chunks(2).map(|layer| (layer[0].1.clone(), layer[1].1.clone())).collect();
    let (lead, tower) = all.split_last().unwrap();
    let (short, whole) = (numbers(85, n * inputs, 1.0), numbers(86, n * inputs, 1.0));
    let vector = |x: &[f64], r: usize| mlp(&x[r * inputs..][..inputs], tower, false);
    let led = |x: &[f64], r: usize| linear(&vector(x, r), &lead.0, &lead.1);
    let equation = |short: &[f64]| {
        let of_row = |r: usize| led(short, r).iter().zip(vector(&whole, r)).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / 3.0;
        (0..n).filter(|&r| low[r] < 0.5).map(of_row).sum::<f64>() / 2.0
    };
    let (few, many) =
        (tensor::<2>(&short, [n, inputs], &device()).require_grad(), tensor::<2>(&whole, [n, inputs], &device()).require_grad());
    let low_active = tensor::<2>(&low, [n, 1], &device());
    let loss = module.loss(few.clone(), many.clone(), low_active.clone());
    assert_close(&block_on(read(loss.clone())), &[equation(&short)], 1e-5);
    let gradients = loss.backward();
    let expected: Vec<f64> = (0..short.len()).map(|i| slope(equation, &short, i)).collect();
    assert_close(&block_on(read(few.grad(&gradients).unwrap())), &expected, 2e-4);
    assert!(many.grad(&gradients).is_none(), "sg(v_many)");
    let features = block_on(read(module.features(many, low_active)));
    for r in 0..n {
        let expected: Vec<f64> = led(&whole, r).iter().map(|x| x * low[r]).collect();
        assert_close(&features[r * 3..][..3], &expected, 1e-5);
    }
}

#[test]
fn the_transfer_loss_of_a_batch_sees_the_short_and_the_whole_history() {
    let mut trained = Trained::new(&config(), Variant::Transfer);
    let batch = trained.next();
    let on_device = trained.load(batch.clone());
    let graph = trained.ranker().graph(&on_device);
    let all: Vec<Layer> = parameters(trained.ranker().parts::<TransferLearning>().next().unwrap().module())
        .chunks(2)
        .map(|l| (l[0].1.clone(), l[1].1.clone()))
        .collect();
    let (lead, tower) = all.split_last().unwrap();
    let d = trained.config.embedding;
    let (requests, views) = (rows_of(graph.leaves.requests.clone()), rows_of(graph.leaves.views[1].1.clone()));
    let distance = |r: usize| {
        let counts: Vec<f64> = batch.counts[r * 4..][..4].iter().map(|&x| f64::from(x)).collect();
        let with = |history: &[f64]| mlp(&[&requests[r][..2 * d], history, &counts[..]].concat(), tower, false);
        let (few, many) = (with(&views[r][..2 * d]), with(&views[r][2 * d..]));
        linear(&few, &lead.0, &lead.1).iter().zip(&many).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / many.len() as f64
    };
    let high: Vec<usize> = (0..batch.requests).filter(|&r| !batch.low_active[r]).collect();
    let expected = high.iter().map(|&r| distance(r)).sum::<f64>() / high.len() as f64;
    let GraphLoss { value: loss, weight, .. } = graph.loss_named("loss_adaptation").unwrap();
    assert_close(&block_on(read(loss.clone())), &[expected], 1e-4);
    assert_eq!(*weight, 0.1);
}

#[test]
fn two_variants_start_shared_layers_with_the_same_numbers() {
    let layout = Layout::new(Vocabulary { users: 5, items: 9, categories: 3 }, &config());
    let fresh = |variant| Ranker::new(&config(), variant, layout, &Device::flex());
    let (ple, duia) = (fresh(Variant::Ple), fresh(Variant::DuiaItems));
    let (base, more) = (parameters(&ple.ple().first.joint), parameters(&duia.ple().first.joint));
    for side in 0..2 {
        assert!(more[side].1.len() > base[side].1.len());
        assert_eq!(more[side].1[..base[side].1.len()], base[side].1[..], "more inputs add rows and change none");
    }
    assert_eq!(layers(&ple.ple().towers, 1), layers(&duia.ple().towers, 1));
    let towers = |ranker: &Ranker| parameters(ranker.parts::<AuxiliaryModel>().next().unwrap().towers());
    assert_eq!(towers(&fresh(Variant::Uie)), towers(&duia));
    let first = |seed| layer(&Linear::with_deviation(&Init::new(seed, &device()), "x", 1, 3, 2, 1.0), 0).0;
    let wide = layer(&Linear::with_deviation(&Init::new(1, &device()), "x", 1, 5, 2, 1.0), 0).0;
    assert_eq!(wide[..6], first(1)[..]);
    assert_ne!(first(1), first(2));
    let mlp = Mlp::new(&Init::new(1, &device()), "y", 2, 3, &[4, 2], false);
    assert_ne!(layers(&mlp, 0), layers(&mlp, 1), "layers of a stack differ");
}

#[test]
fn posos_gates_are_its_formula_and_start_near_one() {
    let config = duia::config::Config { tower: "6x3".parse().unwrap(), ..config() };
    let mut poso = Poso::new(&Init::new(11, &device()), &config);
    let counts = numbers(90, 3 * 4, 0.5);
    let on_device = tensor::<2>(&counts, [3, 4], &device());
    let fresh: Vec<f64> = poso.factors(&on_device).into_iter().flat_map(|factors| block_on(read(factors))).collect();
    assert!(fresh.len() == 2 * 3 * (6 + 3) && fresh.iter().all(|f| (f - 1.0).abs() < 0.05), "the towers begin as PLE's: {fresh:?}");
    // Gates that are far from their start, with biases, which at the start are 0 and would hide a mistake.
    for (depth, gate) in poso.gates.iter_mut().enumerate() {
        for (place, layer) in [&mut gate.hidden, &mut gate.out].into_iter().enumerate() {
            let (weight, bias) = (layer.weight.dims(), layer.bias.dims());
            let lane = 91 + 4 * depth as u64 + 2 * place as u64;
            layer.weight = Param::from_data(TensorData::new(floats(&numbers(lane, weight.iter().product(), 0.7)), weight), &device());
            layer.bias = Param::from_data(TensorData::new(floats(&numbers(lane + 1, bias.iter().product(), 0.7)), bias), &device());
        }
    }
    for (gate, factors) in poso.gates.iter().zip(poso.factors(&on_device)) {
        let expected = (0..2).flat_map(|task| (0..3).map(move |r| (task, r))).flat_map(|(task, r)| {
            let (hidden, out) = (layer(&gate.hidden, task), layer(&gate.out, task));
            let x: Vec<f64> = linear(&counts[r * 4..][..4], &hidden.0, &hidden.1).into_iter().map(|x| x.max(0.0)).collect();
            linear(&x, &out.0, &out.1).into_iter().map(|z| 2.0 * sigmoid(z)).collect::<Vec<_>>()
        });
        assert_close(&block_on(read(factors)), &expected.collect::<Vec<_>>(), 1e-5);
    }
}
