//! Every kernel against a plain f64 oracle, natively on the CPU and on any graphics adapter, and in a browser.

mod common;

use burn::optim::{AdamConfig, Optimizer};
use burn::tensor::{Device, Int, Tensor};
use common::*;
use duia::data::protocol::NO_ROW;
use duia::data::rows::{Bags, RowPlanner, Segment};
use duia::kernels::{
    self, AdamStep, EPSILON, Levels, Mix, RowRule, activation_unit, attend, centre_pull, chosen_centres, count_shared, dots, entries, fit,
    follow, gated, mix, nearest, pool_centres, recall, rms_norm, scaled, sum_samples,
};
use duia::model::layers::table::{BehaviourTable, HostTouched, Ids, RowTable, integers};

const WIDTH: usize = 5;
const ROWS: usize = 30;
const BAGS: Bags = Bags { singles: 2, bags: 2, bag_len: 3 };

/// Two singles and two bags for each of four samples; one bag is empty, one row appears everywhere.
fn ids() -> Vec<u32> {
    let n = NO_ROW;
    vec![
        3, 7, /**/ 7, 8, n, /**/ 1, n, n, //
        3, 9, /**/ n, n, n, /**/ 7, 7, 2, //
        4, 7, /**/ 5, 6, 7, /**/ 29, n, n, //
        0, 3, /**/ 3, 3, 3, /**/ 3, 12, n,
    ]
}

/// A second segment over the same table: one id a sample.
const MORE: [u32; 3] = [7, 29, 15];
const SINGLE: Bags = Bags { singles: 1, bags: 0, bag_len: 0 };

fn table(device: &Device) -> (RowTable, Vec<f64>) {
    let start = numbers(1, ROWS * WIDTH, 0.5);
    (RowTable::new(ROWS, WIDTH, device, |i| start[i as usize] as f32), start)
}

/// Weight of row `row` in field `field` of sample `sample`.
fn weight(sample: usize, field: usize, row: u32) -> f64 {
    let ids = &ids()[sample * BAGS.slots()..][..BAGS.slots()];
    if field < BAGS.singles {
        return f64::from(u8::from(ids[field] == row));
    }
    let bag = &ids[BAGS.singles + (field - BAGS.singles) * BAGS.bag_len..][..BAGS.bag_len];
    let there = bag.iter().filter(|&&id| id != NO_ROW).count().max(1);
    bag.iter().filter(|&&id| id == row).count() as f64 / there as f64
}

pub async fn pooling_and_lazy_adam(device: Device) {
    let (mut table, start) = table(&device);
    let ids = ids();
    let segments = [Segment { ids: &ids, bags: BAGS }, Segment { ids: &MORE, bags: SINGLE }];
    let touched = HostTouched::new(&mut RowPlanner::new(ROWS), &segments).load(&device);
    let (samples, fields) = (4, BAGS.fields());
    let expected: Vec<f64> = (0..samples * fields)
        .flat_map(|p| (0..WIDTH).map(move |k| (p, k)))
        .map(|(p, k)| (0..ROWS).map(|r| weight(p / fields, p % fields, r as u32) * start[r * WIDTH + k]).sum())
        .collect();
    assert_close(&read(table.pool(&Ids::new(segments[0], &device))).await, &expected, 1e-6);

    // Two steps with different gradients: the second sees moments.
    let (mut w, mut m, mut v) = (start.clone(), vec![0.0; ROWS * WIDTH], vec![0.0; ROWS * WIDTH]);
    let is_touched = |row: usize| ids.contains(&(row as u32)) || MORE.contains(&(row as u32));
    for t in 1..=2u64 {
        let (gradient, more) = (numbers(10 + t, samples * fields * WIDTH, 1.0), numbers(15 + t, MORE.len() * WIDTH, 1.0));
        let gradients = vec![tensor(&gradient, [samples, fields * WIDTH], &device), tensor(&more, [MORE.len(), WIDTH], &device)];
        table.update(&touched, gradients, AdamStep::new(0.01, t));
        for r in (0..ROWS).filter(|&r| is_touched(r)) {
            for k in 0..WIDTH {
                let of_bags = (0..samples * fields).map(|p| weight(p / fields, p % fields, r as u32) * gradient[p * WIDTH + k]);
                let of_singles = MORE.iter().enumerate().filter(|(_, row)| **row == r as u32).map(|(s, _)| more[s * WIDTH + k]);
                let g: f64 = of_bags.chain(of_singles).sum();
                let i = r * WIDTH + k;
                m[i] = 0.9 * m[i] + 0.1 * g;
                v[i] = 0.999 * v[i] + 0.001 * g * g;
                let (mh, vh) = (m[i] / (1.0 - 0.9f64.powi(t as i32)), v[i] / (1.0 - 0.999f64.powi(t as i32)));
                w[i] -= 0.01 * mh / (vh.sqrt() + 1e-8);
            }
        }
    }
    let rows = read(table.rows()).await;
    for r in 0..ROWS {
        assert_close(&rows[r * 3 * WIDTH..][..WIDTH], &w[r * WIDTH..][..WIDTH], 1e-5);
        if !is_touched(r) {
            let now: Vec<f32> = rows[r * 3 * WIDTH..][..3 * WIDTH].iter().map(|&x| x as f32).collect();
            let then: Vec<f32> = start[r * WIDTH..][..WIDTH].iter().map(|&x| x as f32).chain([0.0; 2 * WIDTH]).collect();
            assert_eq!(now, then, "row {r} is in no sample and must not move");
        }
    }
}

/// A history that is not pooled has padding among its single ids: such a slot is zeros, and no row receives its gradient.
pub async fn padding_of_single_ids_pools_to_zeros(device: Device) {
    let (mut table, start) = table(&device);
    let bags = Bags { singles: 3, bags: 1, bag_len: 2 };
    let n = NO_ROW;
    let ids = [n, 7, n, /**/ n, n, /**/ 3, n, 29, /**/ 7, n, /**/ n, n, n, /**/ 2, 3];
    let segment = Segment { ids: &ids, bags };
    let row = |id: u32| start[id as usize * WIDTH..][..WIDTH].to_vec();
    let zeros = || vec![0.0; WIDTH];
    let mean: Vec<f64> = row(2).iter().zip(row(3)).map(|(a, b)| (a + b) / 2.0).collect();
    let expected = [[zeros(), row(7), zeros(), zeros()], [row(3), zeros(), row(29), row(7)], [zeros(), zeros(), zeros(), mean]];
    let expected = expected.as_flattened().concat();
    let pooled = read(table.pool(&Ids::new(segment, &device))).await;
    assert_close(&pooled, &expected, 1e-6);
    let padded = pooled.chunks(WIDTH).zip(expected.chunks(WIDTH)).filter(|(_, expected)| expected.iter().all(|x| *x == 0.0));
    assert!(padded.clone().count() == 7 && padded.into_iter().all(|(got, _)| got.iter().all(|x| *x == 0.0)), "zeros to the bit");

    let before = read(table.rows()).await;
    let touched = HostTouched::new(&mut RowPlanner::new(ROWS), &[segment]).load(&device);
    table.update(&touched, vec![Tensor::ones([3, bags.fields() * WIDTH], &device)], AdamStep::new(0.01, 1));
    let after = read(table.rows()).await;
    for id in 0..ROWS {
        let moved = before[id * 3 * WIDTH..][..3 * WIDTH] != after[id * 3 * WIDTH..][..3 * WIDTH];
        assert_eq!(moved, ids.contains(&(id as u32)), "row {id}");
    }
}

pub async fn lazy_adam_is_burns_adam_where_every_row_is_touched(device: Device) {
    let (mut table, start) = table(&device);
    let every: Vec<u32> = (0..ROWS as u32).collect();
    let touched = HostTouched::single(&mut RowPlanner::new(ROWS), &every).load(&device);
    let adam = AdamConfig::new().with_epsilon(EPSILON).build();
    let (mut dense, mut state) = (tensor::<2>(&start, [ROWS, WIDTH], &device), None);
    for t in 1..=5 {
        let gradient = tensor::<2>(&numbers(20 + t, ROWS * WIDTH, 1.0), [ROWS, WIDTH], &device);
        table.update(&touched, vec![gradient.clone()], AdamStep::new(3e-3, t));
        (dense, state) = adam.step(3e-3, dense, gradient, state);
    }
    let lazy = table.rows().slice([0..ROWS, 0..WIDTH]);
    assert_close(&read(lazy).await, &read(dense).await, 1e-6);
}

/// Rows that are written by a rule: 4 by samples 0 and 2, 2 by sample 4, 0 by sample 5; all samples of 7 have weight 0.
pub async fn written_rows_follow_their_rule_and_no_other_moves(device: Device) {
    let ids = [4, 2, 4, 7, 2, 0, 4, 7];
    let weights = [1.0, 0.0, 1.0, 0.0, 0.5, 1.0, 0.0, 0.0];
    let (start, values) = (numbers(90, 9 * WIDTH, 1.0), numbers(91, ids.len() * WIDTH, 1.0));
    let touched = HostTouched::single(&mut RowPlanner::new(9), &ids).load(&device);
    for rule in [RowRule::AddMean, RowRule::Replace] {
        let mut table = BehaviourTable::new(tensor(&start, [9, WIDTH], &device));
        let before = table.rows();
        table.write(&touched, tensor(&values, [ids.len(), WIDTH], &device), tensor(&weights, [ids.len()], &device), rule);
        let after = read(table.rows()).await;
        for row in 0..9 {
            let own: Vec<&[f64]> =
                (0..ids.len()).filter(|&s| ids[s] == row && weights[s] > 0.0).map(|s| &values[s * WIDTH..][..WIDTH]).collect();
            let (then, now) = (&start[row as usize * WIDTH..][..WIDTH], &after[row as usize * WIDTH..][..WIDTH]);
            match (rule, own.last()) {
                (_, None) => assert_eq!(now, then, "nothing wrote row {row}"),
                (RowRule::Replace, Some(last)) => assert_eq!(now, *last, "row {row}"),
                (RowRule::AddMean, Some(_)) => {
                    let expected: Vec<f64> = then.iter().zip(mean(&own)).map(|(x, by)| x + by).collect();
                    assert_close(now, &expected, 1e-6);
                }
            }
        }
        assert_eq!(read(before).await, start, "who holds the table of before still sees it");
    }
}

/// One memory that was never touched, one touched once and one often, and one asked for twice.
pub async fn memories_are_recalled_the_more_the_more_often_they_were_touched(device: Device) {
    let (m, rows, ids) = (5, 4, [2usize, 0, 3, 2, 1]);
    let n = ids.len();
    let mut table = numbers(94, rows * (2 * m + 1), 1.0);
    [0.0, 1.0, 2.0, 40.0].iter().enumerate().for_each(|(row, touches)| table[row * (2 * m + 1) + 2 * m] = *touches);
    let (own, mean, own_mean) = (numbers(95, 2 * n * m, 1.0), numbers(96, 2 * m, 1.0), numbers(97, m, 1.0));
    let recalled = recall(
        tensor(&table, [rows, 2 * m + 1], &device),
        integers(ids.map(|id| id as i32).to_vec(), &device),
        tensor(&own, [2, n, m], &device),
        tensor(&mean, [1, 2 * m], &device),
        tensor(&own_mean, [1, m], &device),
    );
    let places = (0..2 * n * m).map(|i| (i, i / m / n, i / m % n, i % m));
    let expected: Vec<f64> = places
        .map(|(i, level, place, k)| {
            let row = &table[ids[place] * (2 * m + 1)..][..2 * m + 1];
            let trust = row[2 * m] / (row[2 * m] + 1.0);
            trust * (row[level * m + k] - mean[level * m + k]) + (1.0 - trust) * (own[i] - own_mean[k])
        })
        .collect();
    assert_close(&read(recalled).await, &expected, 1e-6);

    let kept = entries(integers(vec![3, 17, 0, 2, 1, 9], &device).reshape([3, 2]), Tensor::zeros([1], &device), 7.0);
    assert_eq!(read(kept).await, [17.0, 7.0, 2.0, 7.0, 9.0, 7.0]);
}

const LEVELS: Levels = Levels { first: 4, children: 3 };
const M: usize = 6;
const SAMPLES: usize = 40;

/// Fewer centres and samples than a GPU's cube has lanes for them, and so many that each lane has several and the last fewer.
const CLUSTER_CASES: [(Levels, usize); 3] =
    [(LEVELS, SAMPLES), (Levels { first: 37, children: 11 }, 203), (Levels { first: 1, children: 1 }, 3)];

fn cluster_case(levels: Levels, samples: usize) -> (Vec<f64>, Vec<f64>) {
    (numbers(30, samples * M, 0.7), numbers(31, levels.rows() * M, 0.7))
}

fn best(v: &[f64], centres: &[f64], rows: std::ops::Range<usize>, cosine: bool) -> usize {
    let similarity = |row: usize| {
        let mu = &centres[row * M..][..M];
        if cosine { dot(v, mu) / dot(mu, mu).sqrt() } else { dot(v, mu) }
    };
    rows.max_by(|&a, &b| similarity(a).total_cmp(&similarity(b))).unwrap()
}

pub async fn the_nearest_centre_and_its_nearest_child(device: Device) {
    for ((levels, samples), cosine) in CLUSTER_CASES.into_iter().flat_map(|case| [(case, true), (case, false)]) {
        let (v, centres) = cluster_case(levels, samples);
        let ids = nearest(
            tensor(&v, [samples, M], &device),
            tensor(&centres, [levels.rows(), M], &device),
            integers(vec![0], &device),
            levels,
            cosine,
        );
        let ids: Vec<i32> = ids.into_data_async().await.unwrap().try_into_vec().unwrap();
        for s in 0..samples {
            let v = &v[s * M..][..M];
            let parent = best(v, &centres, 0..levels.first, cosine);
            let start = levels.first + parent * levels.children;
            let child = best(v, &centres, start..start + levels.children, cosine) - levels.first;
            assert_eq!([ids[2 * s] as usize, ids[2 * s + 1] as usize], [parent, child], "sample {s}");
            assert_eq!(child / levels.children, parent, "a child belongs to its parent");
        }
    }
}

pub async fn chosen_centres_and_the_mean_that_follows(device: Device) {
    for (levels, samples) in CLUSTER_CASES {
        let (v, centres) = cluster_case(levels, samples);
        let child = |s: usize| s * 7 % (levels.first * levels.children);
        let ids = (0..samples).flat_map(|s| [child(s) / levels.children, child(s)].map(|id| id as i32)).collect();
        let ids = integers(ids, &device).reshape([samples, 2]);
        let chosen = chosen_centres(tensor(&centres, [levels.rows(), M], &device), ids, levels);
        let rows = (0..samples).map(|s| child(s) / levels.children).chain((0..samples).map(|s| levels.first + child(s)));
        let expected: Vec<f64> = rows.flat_map(|row| centres[row * M..][..M].to_vec()).collect();
        assert_close(&read(chosen).await, &expected, 1e-7);

        let mean = numbers(33, M, 1.0);
        for some in [1.0, 0.0] {
            let weights: Vec<f64> = (0..samples).map(|s| some * f64::from(u8::from(s % 3 != 0))).collect();
            let count = weights.iter().sum::<f64>();
            let of_all = |k: usize| (0..samples).map(|s| weights[s] * v[s * M + k]).sum::<f64>();
            let expected: Vec<f64> = (0..M).map(|k| mean[k] + 0.25 * (of_all(k) - count * mean[k]) / count.max(1.0)).collect();
            let of_mean = tensor(&mean, [1, M], &device);
            let moved = follow(of_mean, tensor(&v, [samples, M], &device), tensor(&weights, [samples], &device), 0.25);
            assert_close(&read(moved).await, &expected, 1e-6);
        }
    }
}

/// Eq. 4 (or 5) summed over a centre's samples, sigma a weight fixed at `weights` or recomputed.
fn loss(mu: &[f64], members: &[Vec<f64>], weights: Option<&[f64]>) -> f64 {
    let distance = |v: &[f64]| v.iter().zip(mu).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    members.iter().enumerate().map(|(i, v)| weights.map_or_else(|| sigmoid(dot(v, mu)), |w| w[i]) * distance(v)).sum()
}

pub async fn the_pull_on_a_centre_is_minus_half_the_gradient(device: Device) {
    for ((levels, samples), in_graph) in CLUSTER_CASES.into_iter().flat_map(|case| [(case, true), (case, false)]) {
        let (v, centres) = cluster_case(levels, samples);
        let clustered: Vec<f64> = (0..samples).map(|s| f64::from(u8::from(s % 3 != 0))).collect();
        // Not sorted, and the last centres have nobody.
        let parent = |s: usize| s * 7 % 30 % levels.first;
        let assigned: Vec<[usize; 2]> =
            (0..samples).map(|s| [parent(s), parent(s) * levels.children + s % levels.children.min(2)]).collect();
        let ids: Vec<i32> = assigned.iter().flatten().map(|&id| id as i32).collect();
        let pull = centre_pull(
            tensor(&v, [samples, M], &device),
            tensor(&centres, [levels.rows(), M], &device),
            integers(ids.clone(), &device).reshape([samples, 2]),
            tensor(&clustered, [samples], &device),
            levels,
            in_graph,
        );
        let (towards, count) = (read(pull.towards).await, read(pull.count).await);
        let mut losses = [0.0; 2];
        for row in 0..levels.rows() {
            let (level, own) = if row < levels.first { (0, row) } else { (1, row - levels.first) };
            let of_row = |s: &usize| clustered[*s] > 0.0 && assigned[*s][level] == own;
            let members: Vec<Vec<f64>> = (0..samples).filter(of_row).map(|s| v[s * M..][..M].to_vec()).collect();
            let mu = &centres[row * M..][..M];
            let fixed: Vec<f64> = members.iter().map(|v| sigmoid(dot(v, mu))).collect();
            let weights = (!in_graph).then_some(fixed.as_slice());
            let expected: Vec<f64> = (0..M).map(|k| -0.5 * slope(|mu| loss(mu, &members, weights), mu, k)).collect();
            assert_close(&towards[row * M..][..M], &expected, 2e-5);
            assert_eq!(count[row], members.len() as f64);
            losses[level] += loss(mu, &members, None);
        }
        assert_close(&read(pull.losses).await, &losses, 2e-5);
        assert_eq!(read(pull.samples).await, [clustered.iter().sum::<f64>()]);
    }
}

/// Items 0 to 6: given before, at and after the birth of their centres, never given, and two of one centre.
pub async fn the_centres_of_a_bag_are_averaged_where_they_still_count(device: Device) {
    let children = LEVELS.first * LEVELS.children;
    let centres = numbers(32, LEVELS.rows() * M, 1.0);
    let mut born = vec![0.0; children];
    (born[5], born[11]) = (9.0, 4.0);
    let entries = [[2.0, 3.0], [5.0, 8.0], [5.0, 9.0], [11.0, 40.0], [0.0, -1.0], [2.0, 0.0], [7.0, 1.0]];
    let n = -1;
    let bags = [[0, 1, 2, n], [n, n, n, n], [1, 4, n, n], [3, 3, 6, 5], [4, n, 6, n], [2, n, n, n]];
    let ids: Vec<i32> = bags.as_flattened().to_vec();
    let (means, known) = pool_centres(
        tensor(&centres, [LEVELS.rows(), M], &device),
        tensor(entries.as_flattened(), [entries.len(), 2], &device),
        tensor(&born, [children], &device),
        integers(ids.clone(), &device).reshape([bags.len(), 4]),
        LEVELS,
    );
    let counting = |bag: &[i32; 4]| -> Vec<usize> {
        let known = bag.iter().filter(|&&item| item >= 0).map(|&item| entries[item as usize]);
        known.filter(|[child, given]| *given >= born[*child as usize]).map(|[child, _]| child as usize).collect()
    };
    let level = |row: &dyn Fn(usize) -> usize| -> Vec<f64> {
        let of_bag = |bag| match counting(bag) {
            none if none.is_empty() => vec![0.0; M],
            some => mean(&some.iter().map(|&child| &centres[row(child) * M..][..M]).collect::<Vec<_>>()),
        };
        bags.iter().flat_map(of_bag).collect()
    };
    let expected = [level(&|child| child / LEVELS.children), level(&|child| LEVELS.first + child)].concat();
    assert_close(&read(means).await, &expected, 1e-6);
    let any: Vec<f64> = bags.iter().map(|bag| f64::from(u8::from(!counting(bag).is_empty()))).collect();
    assert_eq!(read(known).await, any);

    // Two samples a bag.
    let own: Vec<i32> = (0..2 * bags.len() as i32).map(|sample| sample * 5 % children as i32).collect();
    let pairs = own.iter().flat_map(|&child| [child / LEVELS.children as i32, child]).collect();
    let counted = count_shared(
        tensor(entries.as_flattened(), [entries.len(), 2], &device),
        tensor(&born, [children], &device),
        integers(ids, &device).reshape([bags.len(), 4]),
        integers(pairs, &device).reshape([own.len(), 2]),
        LEVELS,
    );
    let expected = own.iter().zip(bags.iter().flat_map(|bag| [bag, bag])).flat_map(|(&own, bag)| {
        let known = bag.iter().filter(|&&item| item >= 0).map(|&item| entries[item as usize]);
        let counting: Vec<i32> = known.filter(|[child, given]| *given >= born[*child as usize]).map(|[child, _]| child as i32).collect();
        let parents = counting.iter().filter(|&&child| child / LEVELS.children as i32 == own / LEVELS.children as i32).count();
        [parents, counting.iter().filter(|&&child| child == own).count(), counting.len()].map(|count| count as f64)
    });
    let expected: Vec<f64> = expected.collect();
    assert!((0..2).all(|level| expected.chunks(3).any(|counts| counts[level] > 0.0)), "{expected:?}");
    assert_close(&read(counted).await, &expected, 0.0);
}

/// `x W + b` and its gradients: fewer samples than a GPU's cube has lanes, and so many that it needs several cubes and, of a small
/// product, several parts.
pub async fn a_linear_layer_and_its_gradients(device: Device) {
    for [stack, samples, inputs, outputs] in [[2, 7, 3, 5], [1, 4_096, 2, 3], [2, 3_072, 3, 37]] {
        let (x, weight) = (numbers(100, stack * samples * inputs, 1.0), numbers(101, stack * inputs * outputs, 1.0));
        let (bias, chosen) = (numbers(102, stack * outputs, 1.0), numbers(103, stack * samples * outputs, 1.0));
        let autodiff = device.clone().autodiff();
        let of_x = tensor::<3>(&x, [stack, samples, inputs], &autodiff).require_grad();
        let of_weight = tensor::<3>(&weight, [stack, inputs, outputs], &autodiff).require_grad();
        let of_bias = tensor::<3>(&bias, [stack, 1, outputs], &autodiff).require_grad();
        let out = kernels::linear(of_x.clone(), of_weight.clone(), of_bias.clone());
        let place = |stack: usize, row: usize, rows: usize, column: usize, columns: usize| (stack * rows + row) * columns + column;
        let places =
            |rows: usize, columns: usize| (0..stack * rows * columns).map(move |i| (i / columns / rows, i / columns % rows, i % columns));
        let at_x = |s, n, i| x[place(s, n, samples, i, inputs)];
        let at_weight = |s, i, o| weight[place(s, i, inputs, o, outputs)];
        let at_chosen = |s, n, o| chosen[place(s, n, samples, o, outputs)];
        let expected: Vec<f64> = places(samples, outputs)
            .map(|(s, n, o)| bias[s * outputs + o] + (0..inputs).map(|i| at_x(s, n, i) * at_weight(s, i, o)).sum::<f64>())
            .collect();
        assert_close(&read(out.clone()).await, &expected, 1e-5);
        let gradients = (out * tensor(&chosen, [stack, samples, outputs], &autodiff)).sum().backward();
        let in_x: Vec<f64> =
            places(samples, inputs).map(|(s, n, i)| (0..outputs).map(|o| at_chosen(s, n, o) * at_weight(s, i, o)).sum()).collect();
        let in_weight: Vec<f64> =
            places(inputs, outputs).map(|(s, i, o)| (0..samples).map(|n| at_x(s, n, i) * at_chosen(s, n, o)).sum()).collect();
        let in_bias: Vec<f64> = places(1, outputs).map(|(s, _, o)| (0..samples).map(|n| at_chosen(s, n, o)).sum()).collect();
        assert_close(&read(of_x.grad(&gradients).unwrap()).await, &in_x, 1e-5);
        assert_close(&read(of_weight.grad(&gradients).unwrap()).await, &in_weight, 1e-4);
        assert_close(&read(of_bias.grad(&gradients).unwrap()).await, &in_bias, 1e-4);
    }
}

pub async fn scales_of_columns_and_of_rows_with_their_gradients(device: Device) {
    let (rows, columns) = (1_100, 6);
    let (x, chosen) = (numbers(105, rows * columns, 1.0), numbers(106, rows * columns, 1.0));
    for (shape, turned) in [([rows, columns], false), ([columns, rows], true)] {
        let scale = numbers(107, columns, 1.0);
        let autodiff = device.clone().autodiff();
        let of_x = tensor::<2>(&x, shape, &autodiff).require_grad();
        let of_scale = tensor::<2>(&scale, if turned { [columns, 1] } else { [1, columns] }, &autodiff).require_grad();
        let at = |i: usize| if turned { i / rows } else { i % columns };
        let out = scaled(of_x.clone(), of_scale.clone());
        let expected: Vec<f64> = x.iter().enumerate().map(|(i, x)| x * scale[at(i)]).collect();
        assert_close(&read(out.clone()).await, &expected, 1e-6);
        let gradients = (out * tensor(&chosen, shape, &autodiff)).sum().backward();
        let in_x: Vec<f64> = chosen.iter().enumerate().map(|(i, g)| g * scale[at(i)]).collect();
        let mut in_scale = vec![0.0; columns];
        x.iter().zip(&chosen).enumerate().for_each(|(i, (x, g))| in_scale[at(i)] += x * g);
        assert_close(&read(of_x.grad(&gradients).unwrap()).await, &in_x, 1e-6);
        assert_close(&read(of_scale.grad(&gradients).unwrap()).await, &in_scale, 1e-5);
    }
}

/// Few numbers and, on a GPU, so many that several cubes add them up.
pub async fn means_and_sums_over_the_samples(device: Device) {
    let autodiff = device.clone().autodiff();
    for samples in [1, 6, 700_001] {
        let x = numbers(110, samples, 1.0);
        let of_x = tensor::<2>(&x, [samples, 1], &autodiff).require_grad();
        let of_all = kernels::mean(of_x.clone() * of_x.clone());
        let expected = x.iter().map(|x| x * x).sum::<f64>() / samples as f64;
        assert_close(&read(of_all.clone()).await, &[expected], 1e-5);
        let in_x: Vec<f64> = x.iter().map(|x| 2.0 * x / samples as f64).collect();
        assert_close(&read(of_x.grad(&of_all.backward()).unwrap()).await, &in_x, 1e-6);
    }
    for [stack, samples, columns] in [[1, 1, 1], [3, 5, 4], [2, 1_000, 70], [1, 20_000, 33]] {
        let x = numbers(111, stack * samples * columns, 1.0);
        let summed = sum_samples(tensor::<3>(&x, [stack, samples, columns], &device));
        assert_eq!(summed.dims(), [stack, 1, columns]);
        let at = |i: usize| (0..samples).map(|n| x[(i / columns * samples + n) * columns + i % columns]).sum();
        let expected: Vec<f64> = (0..stack * columns).map(at).collect();
        assert_close(&read(summed).await, &expected, 1e-4);
    }
}

pub async fn mixing_experts_and_both_its_gradients(device: Device) {
    let (streams, samples, experts, width) = (3, 4, 5, 6);
    let (gates, outputs) = (numbers(40, streams * samples * experts, 1.0), numbers(41, experts * samples * width, 1.0));
    let chosen = numbers(42, streams * samples * width, 1.0);
    for wide in [false, true] {
        let gate = |s: usize, b: usize, e: usize| if wide { (b * streams + s) * experts + e } else { (s * samples + b) * experts + e };
        let output = |e: usize, b: usize, k: usize| if wide { (b * experts + e) * width + k } else { (e * samples + b) * width + k };
        let value = |gates: &[f64], outputs: &[f64]| -> Vec<f64> {
            let places = (0..streams * samples * width).map(|i| (i / width / samples, i / width % samples, i % width));
            places.map(|(s, b, k)| (0..experts).map(|e| gates[gate(s, b, e)] * outputs[output(e, b, k)]).sum()).collect()
        };
        let autodiff = device.clone().autodiff();
        let shapes = match wide {
            true => ([samples, streams, experts], [samples, experts, width]),
            false => ([streams, samples, experts], [experts, samples, width]),
        };
        let g = tensor::<3>(&gates, shapes.0, &autodiff).require_grad();
        let x = tensor::<3>(&outputs, shapes.1, &autodiff).require_grad();
        let out = mix(g.clone(), x.clone(), Mix { streams, samples, experts, width, wide });
        assert_close(&read(out.clone()).await, &value(&gates, &outputs), 1e-5);
        let gradients = (out * tensor(&chosen, [streams, samples, width], &autodiff)).sum().backward();
        let score = |gates: &[f64], outputs: &[f64]| dot(&value(gates, outputs), &chosen);
        let in_gates: Vec<f64> = (0..gates.len()).map(|i| slope(|g| score(g, &outputs), &gates, i)).collect();
        let in_outputs: Vec<f64> = (0..outputs.len()).map(|i| slope(|x| score(&gates, x), &outputs, i)).collect();
        assert_close(&read(g.grad(&gradients).unwrap()).await, &in_gates, 1e-4);
        assert_close(&read(x.grad(&gradients).unwrap()).await, &in_outputs, 1e-4);
    }
}

/// Two vectors each of three requests, of which some are closed, and two samples a request of the other side.
pub async fn enhancement_vectors_are_normalised_and_fitted_with_their_gradients(device: Device) {
    let (vectors, requests, candidates) = (2, 3, 2);
    let samples = requests * candidates;
    // A width of no whole number of lanes, and one with a rest.
    for m in [6, 19] {
        let (e, mean) = (numbers(50, vectors * requests * m, 1.0), numbers(51, vectors * m, 0.5));
        let (other, open) = (numbers(52, samples * m, 1.0), [1.0, 0.0, 1.0, 0.5, 1.0, 1.0]);
        let (chosen, chosen_fits) = (numbers(53, e.len(), 1.0), numbers(54, vectors * samples, 1.0));
        // Request by request, the vectors of one side by side.
        let normed = |e: &[f64]| -> Vec<f64> {
            let of_row = |at: usize| {
                let row = at % vectors * requests + at / vectors;
                let x: Vec<f64> = (0..m).map(|k| (e[row * m + k] - mean[row / requests * m + k]) * open[row]).collect();
                let root = (dot(&x, &x) / m as f64 + 1e-6).sqrt();
                x.into_iter().map(move |x| x / root)
            };
            (0..vectors * requests).flat_map(of_row).collect()
        };
        let fits = |e: &[f64]| -> Vec<f64> {
            let normed = normed(e);
            let of_pair = |at: usize| {
                let (vector, sample) = (at / samples, at % samples);
                let vector = &normed[(sample / candidates * vectors + vector) * m..][..m];
                dot(vector, &other[sample * m..][..m]) / m as f64
            };
            (0..samples * vectors).map(of_pair).collect()
        };
        let autodiff = device.clone().autodiff();
        let x = tensor::<3>(&e, [vectors, requests, m], &autodiff).require_grad();
        let got = rms_norm(x.clone(), tensor(&mean, [vectors, 1, m], &autodiff), tensor(&open, [vectors, requests, 1], &autodiff));
        let got_fits = fit(got.clone(), tensor(&other, [samples, m], &autodiff));
        assert_close(&read(got.clone()).await, &normed(&e), 1e-5);
        assert_close(&read(got_fits.clone()).await, &fits(&e), 1e-5);
        let loss = (got * tensor(&chosen, [requests, vectors * m], &autodiff)).sum()
            + (got_fits * tensor(&chosen_fits, [vectors, samples], &autodiff)).sum();
        let score = |e: &[f64]| dot(&normed(e), &chosen) + dot(&fits(e), &chosen_fits);
        let expected: Vec<f64> = (0..e.len()).map(|i| slope(score, &e, i)).collect();
        assert_close(&read(x.grad(&loss.backward()).unwrap()).await, &expected, 2e-4);
    }
}

pub async fn the_dots_of_users_with_their_items_and_both_gradients(device: Device) {
    let (requests, candidates) = (3, 2);
    for m in [6, 19] {
        let (users, items) = (numbers(58, requests * m, 1.0), numbers(59, requests * candidates * m, 1.0));
        let chosen = numbers(60, requests * candidates, 1.0);
        let value = |users: &[f64], items: &[f64]| -> Vec<f64> {
            (0..requests * candidates).map(|s| dot(&users[s / candidates * m..][..m], &items[s * m..][..m])).collect()
        };
        let autodiff = device.clone().autodiff();
        let u = tensor::<2>(&users, [requests, m], &autodiff).require_grad();
        let i = tensor::<2>(&items, [requests * candidates, m], &autodiff).require_grad();
        let out = dots(u.clone(), i.clone());
        assert_close(&read(out.clone()).await, &value(&users, &items), 1e-5);
        let gradients = (out * tensor(&chosen, [requests * candidates, 1], &autodiff)).sum().backward();
        let in_users: Vec<f64> = (0..users.len()).map(|k| slope(|users| dot(&value(users, &items), &chosen), &users, k)).collect();
        let in_items: Vec<f64> = (0..items.len()).map(|k| slope(|items| dot(&value(&users, items), &chosen), &items, k)).collect();
        assert_close(&read(u.grad(&gradients).unwrap()).await, &in_users, 1e-4);
        assert_close(&read(i.grad(&gradients).unwrap()).await, &in_items, 1e-4);
    }
}

pub async fn a_gate_and_both_its_gradients(device: Device) {
    let (gate, vectors, chosen) = (numbers(55, 24, 2.0), numbers(56, 24, 1.0), numbers(57, 24, 1.0));
    let value = |gate: &[f64], vectors: &[f64]| -> Vec<f64> { gate.iter().zip(vectors).map(|(g, x)| 2.0 * sigmoid(*g) * x).collect() };
    let autodiff = device.clone().autodiff();
    let [g, x] = [&gate, &vectors].map(|values| tensor::<3>(values, [2, 3, 4], &autodiff).require_grad());
    let out = gated(g.clone(), x.clone());
    assert_close(&read(out.clone()).await, &value(&gate, &vectors), 1e-5);
    let off_graph = gated(g.clone().inner(), x.clone().inner());
    assert_close(&read(off_graph).await, &value(&gate, &vectors), 1e-5);
    let gradients = (out * tensor(&chosen, [2, 3, 4], &autodiff)).sum().backward();
    let in_gate: Vec<f64> = (0..24).map(|i| slope(|gate| dot(&value(gate, &vectors), &chosen), &gate, i)).collect();
    let in_vectors: Vec<f64> = (0..24).map(|i| slope(|vectors| dot(&value(&gate, vectors), &chosen), &vectors, i)).collect();
    assert_close(&read(g.grad(&gradients).unwrap()).await, &in_gate, 1e-4);
    assert_close(&read(x.grad(&gradients).unwrap()).await, &in_vectors, 1e-4);
}

/// Windows of three requests with two queries each: one with gaps, one of padding alone, one full.
struct Windows {
    queries: usize,
    per_request: usize,
    slots: usize,
    width: usize,
    ids: Vec<i32>,
    bias: Vec<f64>,
}

impl Windows {
    fn new(width: usize) -> Self {
        let n = -1;
        let ids = vec![4, n, 0, 9, n, /**/ n, n, n, n, n, /**/ 1, 1, 7, 0, 3];
        Self { queries: 6, per_request: 2, slots: 5, width, bias: numbers(63, ids.len(), 0.7), ids }
    }

    /// The slots of a query's window that are no padding, as rows of the behaviours.
    fn known(&self, query: usize) -> impl Iterator<Item = usize> + Clone + '_ {
        let first = query / self.per_request * self.slots;
        (first..first + self.slots).filter(|&slot| self.ids[slot] >= 0)
    }

    fn row<'a>(&self, rows: &'a [f64], row: usize) -> &'a [f64] {
        &rows[row * self.width..][..self.width]
    }

    /// Each query's weighted sum of its behaviours, given the weights of those that are no padding.
    fn sums(&self, behaviours: &[f64], weights: impl Fn(usize) -> Vec<f64>) -> Vec<f64> {
        let of_query = |query: usize| {
            let weighted: Vec<(usize, f64)> = self.known(query).zip(weights(query)).collect();
            (0..self.width).map(move |k| weighted.iter().map(|(slot, w)| w * behaviours[slot * self.width + k]).sum::<f64>())
        };
        (0..self.queries).flat_map(of_query).collect()
    }

    fn tensors(&self, behaviours: &[f64], device: &Device) -> (Tensor<3>, Tensor<2>, Tensor<2, Int>) {
        let requests = self.queries / self.per_request;
        (
            tensor::<3>(behaviours, [requests, self.slots, self.width], device).require_grad(),
            tensor::<2>(&self.bias, [requests, self.slots], device).require_grad(),
            integers(self.ids.clone(), device).reshape([requests, self.slots]),
        )
    }

    /// Padding receives exactly nothing.
    fn assert_zero_at_padding(&self, in_behaviours: &[f64], in_bias: &[f64]) {
        for slot in (0..self.ids.len()).filter(|&slot| self.ids[slot] < 0) {
            assert!(self.row(in_behaviours, slot).iter().all(|g| *g == 0.0), "slot {slot} is padding");
            assert_eq!(in_bias[slot], 0.0, "slot {slot} is padding");
        }
    }
}

pub async fn attention_over_a_window_and_its_gradients(device: Device) {
    // A width of no whole number of lanes, and one with a rest.
    for width in [6, 19] {
        let windows = Windows::new(width);
        let (queries, behaviours) = (numbers(61, 6 * width, 1.0), numbers(62, 15 * width, 1.0));
        let chosen = numbers(64, queries.len(), 1.0);
        let value = |queries: &[f64], behaviours: &[f64], bias: &[f64]| -> Vec<f64> {
            windows.sums(behaviours, |query| {
                let logit = |slot| dot(windows.row(queries, query), windows.row(behaviours, slot)) / (width as f64).sqrt() + bias[slot];
                let logits: Vec<f64> = windows.known(query).map(logit).collect();
                softmax(&logits)
            })
        };
        let autodiff = device.clone().autodiff();
        let q = tensor::<2>(&queries, [6, width], &autodiff).require_grad();
        let (b, bias, ids) = windows.tensors(&behaviours, &autodiff);
        let out = attend(q.clone(), b.clone(), bias.clone(), ids.clone());
        let expected = value(&queries, &behaviours, &windows.bias);
        assert_close(&read(out.clone()).await, &expected, 1e-5);
        assert!(expected[2 * width..4 * width].iter().all(|x| *x == 0.0), "a window of padding alone gives nothing");
        let off_graph = attend(q.clone().inner(), b.clone().inner(), bias.clone().inner(), ids);
        assert_close(&read(off_graph).await, &expected, 1e-5);

        let gradients = (out * tensor(&chosen, [6, width], &autodiff)).sum().backward();
        let score = |queries: &[f64], behaviours: &[f64], bias: &[f64]| dot(&value(queries, behaviours, bias), &chosen);
        let in_queries: Vec<f64> = (0..queries.len()).map(|i| slope(|x| score(x, &behaviours, &windows.bias), &queries, i)).collect();
        let in_behaviours: Vec<f64> = (0..behaviours.len()).map(|i| slope(|x| score(&queries, x, &windows.bias), &behaviours, i)).collect();
        let in_bias: Vec<f64> = (0..windows.bias.len()).map(|i| slope(|x| score(&queries, &behaviours, x), &windows.bias, i)).collect();
        let (of_b, of_bias) = (read(b.grad(&gradients).unwrap()).await, read(bias.grad(&gradients).unwrap()).await);
        assert_close(&read(q.grad(&gradients).unwrap()).await, &in_queries, 1e-4);
        assert_close(&of_b, &in_behaviours, 1e-4);
        assert_close(&of_bias, &in_bias, 1e-4);
        windows.assert_zero_at_padding(&of_b, &of_bias);
    }
}

pub async fn an_activation_unit_over_a_window_and_its_gradients(device: Device) {
    for (width, hidden) in [(6, 3), (19, 9)] {
        let windows = Windows::new(width);
        let (queries, behaviours) = (numbers(65, 6 * width, 1.0), numbers(66, 15 * width, 1.0));
        let (offsets, unit) = (numbers(67, 6 * hidden, 1.0), numbers(68, (2 * width + 1) * hidden, 0.5));
        let chosen = numbers(69, queries.len(), 1.0);
        // As the public code has it: one layer over the query, the behaviour and their product; the first in `offsets`.
        let value = |queries: &[f64], offsets: &[f64], unit: &[f64], behaviours: &[f64], bias: &[f64]| -> Vec<f64> {
            windows.sums(behaviours, |query| {
                let of_slot = |slot: usize| {
                    let (x, behaviour) = (windows.row(queries, query), windows.row(behaviours, slot));
                    let product = x.iter().zip(behaviour).map(|(a, b)| a * b);
                    let both: Vec<f64> = behaviour.iter().copied().chain(product).collect();
                    let z = linear(&both, &unit[..2 * width * hidden], &offsets[query * hidden..][..hidden]);
                    let active: Vec<f64> = z.into_iter().map(|z| z.max(0.0)).collect();
                    dot(&active, &unit[2 * width * hidden..]) + bias[slot]
                };
                windows.known(query).map(of_slot).collect()
            })
        };
        let autodiff = device.clone().autodiff();
        let q = tensor::<2>(&queries, [6, width], &autodiff).require_grad();
        let o = tensor::<2>(&offsets, [6, hidden], &autodiff).require_grad();
        let u = tensor::<2>(&unit, [2 * width + 1, hidden], &autodiff).require_grad();
        let (b, bias, ids) = windows.tensors(&behaviours, &autodiff);
        let out = activation_unit(q.clone(), o.clone(), u.clone(), b.clone(), bias.clone(), ids.clone());
        let expected = value(&queries, &offsets, &unit, &behaviours, &windows.bias);
        assert_close(&read(out.clone()).await, &expected, 1e-5);
        let [q0, o0, u0, bias0] = [&q, &o, &u, &bias].map(|tensor| tensor.clone().inner());
        assert_close(&read(activation_unit(q0, o0, u0, b.clone().inner(), bias0, ids)).await, &expected, 1e-5);

        let gradients = (out * tensor(&chosen, [6, width], &autodiff)).sum().backward();
        let slopes = |of: &[f64], score: &dyn Fn(&[f64]) -> Vec<f64>| -> Vec<f64> {
            (0..of.len()).map(|i| slope(|x| dot(&score(x), &chosen), of, i)).collect()
        };
        let bias_values = &windows.bias;
        let (of_b, of_bias) = (read(b.grad(&gradients).unwrap()).await, read(bias.grad(&gradients).unwrap()).await);
        let of = [&q, &o, &u].map(|tensor| tensor.grad(&gradients).unwrap());
        let [of_q, of_o, of_u] = of;
        assert_close(&read(of_q).await, &slopes(&queries, &|x| value(x, &offsets, &unit, &behaviours, bias_values)), 1e-4);
        assert_close(&read(of_o).await, &slopes(&offsets, &|x| value(&queries, x, &unit, &behaviours, bias_values)), 1e-4);
        assert_close(&read(of_u).await, &slopes(&unit, &|x| value(&queries, &offsets, x, &behaviours, bias_values)), 1e-4);
        assert_close(&of_b, &slopes(&behaviours, &|x| value(&queries, &offsets, &unit, x, bias_values)), 1e-4);
        assert_close(&of_bias, &slopes(bias_values, &|x| value(&queries, &offsets, &unit, &behaviours, x)), 1e-4);
        windows.assert_zero_at_padding(&of_b, &of_bias);
    }
}

pub async fn every_kernel(device: Device) {
    pooling_and_lazy_adam(device.clone()).await;
    padding_of_single_ids_pools_to_zeros(device.clone()).await;
    lazy_adam_is_burns_adam_where_every_row_is_touched(device.clone()).await;
    written_rows_follow_their_rule_and_no_other_moves(device.clone()).await;
    memories_are_recalled_the_more_the_more_often_they_were_touched(device.clone()).await;
    the_nearest_centre_and_its_nearest_child(device.clone()).await;
    chosen_centres_and_the_mean_that_follows(device.clone()).await;
    the_pull_on_a_centre_is_minus_half_the_gradient(device.clone()).await;
    the_centres_of_a_bag_are_averaged_where_they_still_count(device.clone()).await;
    a_linear_layer_and_its_gradients(device.clone()).await;
    scales_of_columns_and_of_rows_with_their_gradients(device.clone()).await;
    means_and_sums_over_the_samples(device.clone()).await;
    mixing_experts_and_both_its_gradients(device.clone()).await;
    enhancement_vectors_are_normalised_and_fitted_with_their_gradients(device.clone()).await;
    the_dots_of_users_with_their_items_and_both_gradients(device.clone()).await;
    a_gate_and_both_its_gradients(device.clone()).await;
    attention_over_a_window_and_its_gradients(device.clone()).await;
    an_activation_unit_over_a_window_and_its_gradients(device).await;
}

#[cfg(not(target_family = "wasm"))]
mod native {
    use super::*;

    #[test]
    fn on_the_cpu() {
        block_on(every_kernel(Device::flex()));
    }

    /// Lavapipe counts: it runs the very shaders. Where no adapter opens, there is nothing to test here.
    #[test]
    fn on_a_graphics_adapter() {
        match block_on(Device::wgpu_options().init_async()) {
            Ok(device) => block_on(every_kernel(device)),
            Err(error) => skip::skip("the kernels on a graphics adapter", &format!("none opens here ({error})")),
        }
    }
}
