//! User Positive Behavior Enhancement (section 4.3): a memory for each user into which a positive pulls the user centres
//! that are nearest to its ITEM, those most likely to consume it. DUIA for items does the same the other way round
//! (section 4.5, A20): a memory for each item, into which a positive pulls the item centres nearest to its user.

use burn::tensor::{Device, Tensor, activation::sigmoid};

use super::ghca::Memory;
use super::table::{BehaviourTable, Ids, Touched};
use crate::config::{Config, MemoryStart};
use crate::kernels::RowRule;

/// A memory of positive behaviours: a row `[level 1 | level 2 | has memory]` for each user or item.
pub struct Behaviours {
    table: BehaviourTable,
    m: usize,
    rate: f64,
    start: MemoryStart,
}

/// The centres that positives met, found before anything of the step moves (A13, A15).
pub struct Met {
    /// `[positives, 2 m]`: level 1, level 2.
    mu: Tensor<2>,
    /// `[positives, 1]`: 1 for a positive whose centres are not negatively correlated with whom the memory is of (A10).
    open: Tensor<2>,
}

/// Eq. 9 and 10 of a step, `[2]`, each before its weight.
pub type BehaviourLosses = Tensor<1>;

impl Met {
    /// Eq. 7 and 8, the second among the children of the first (A14): the centres nearest to `seeker` `[positives, m]`, and
    /// whether they may be pulled into the memory of `owner` `[positives, m]`. `positive` `[positives]` is 1 where there
    /// was a positive at all.
    pub fn new(memory: &Memory, seeker: Tensor<2>, owner: Tensor<2>, positive: Tensor<1>) -> Self {
        let [positives, m] = owner.dims();
        let mu = memory.chosen(memory.rows_of(&memory.assign(seeker)));
        let sign = memory.seen(mu.clone().reshape([2 * positives, m])).reshape([2, positives, m]) * memory.seen(owner).unsqueeze_dim(0);
        let agrees = sign.sum_dim(2).greater_equal_scalar(0.0).float().min_dim(0).squeeze_dim::<2>(0);
        Self { mu: mu.swap_dims(0, 1).reshape([positives, 2 * m]), open: agrees * positive.unsqueeze_dim(1) }
    }

    /// Whether each positive's update is made, `[positives, 1]`.
    pub fn open(&self) -> Tensor<2> {
        self.open.clone()
    }
}

impl Behaviours {
    /// A memory of so many users or items, zero and unused.
    pub fn new(config: &Config, rows: usize, device: &Device) -> Self {
        let m = config.memory_width();
        Self {
            table: BehaviourTable::new(Tensor::zeros([rows, 2 * m + 1], device)),
            m,
            rate: 2.0 * config.lambda,
            start: config.memory_start,
        }
    }

    /// The memories of `ids`: the vectors of both levels `[2, n, m]` and whether there is a memory `[n, 1]`.
    pub fn look_up(&self, ids: &Ids) -> (Tensor<3>, Tensor<2>) {
        unpack(self.table.look_up(ids), self.m)
    }

    /// `[rows, 2 m + 1]`
    pub fn rows(&self) -> Tensor<2> {
        self.table.rows()
    }

    /// Puts back what [`Behaviours::rows`] gave.
    pub fn restore(&mut self, rows: Tensor<2>) {
        self.table.restore(rows);
    }

    /// Eq. 9 and 10 as the mean step of A4: `memory += 2 lambda mean(sigma(mu . memory) (mu - memory))` over a row's own
    /// positives of the step; the first touch copies the mean of what they met (A13). `ids` are the owners of the positives.
    pub fn learn(&mut self, met: Met, ids: &Ids, touched: &Touched) -> BehaviourLosses {
        let Met { mu, open } = met;
        let [positives, _] = mu.dims();
        let row = self.table.look_up(ids);
        let memory = row.clone().slice([0..positives, 0..2 * self.m]);
        let has = row.slice([0..positives, 2 * self.m..2 * self.m + 1]);
        let levels = [positives, 2, self.m];
        let sigma = sigmoid((mu.clone() * memory.clone()).reshape(levels).sum_dim(2));
        let away = (mu.clone() - memory).reshape(levels);
        let loss = (sigma.clone() * away.clone().square().sum_dim(2)).reshape([positives, 2]) * open.clone();
        let pull = (sigma * away).reshape([positives, 2 * self.m]) * self.rate;
        let delta = match self.start {
            MemoryStart::Touch => pull * has.clone() + mu * (has.clone().neg() + 1.0),
            MemoryStart::Zero => pull,
        };
        let values = Tensor::cat(vec![delta, has.neg() + 1.0], 1);
        let updates = open.clone().sum().clamp_min(1.0);
        self.table.write(touched, values, open.squeeze_dim(1), RowRule::AddMean);
        loss.sum_dim(0).squeeze_dim::<1>(0) / updates
    }
}

/// `[n, 2 m + 1]` as `[2, n, m]` and `[n, 1]`.
pub fn unpack(rows: Tensor<2>, m: usize) -> (Tensor<3>, Tensor<2>) {
    let [n, _] = rows.dims();
    let vectors = rows.clone().slice([0..n, 0..2 * m]).reshape([n, 2, m]).swap_dims(0, 1);
    (vectors, rows.slice([0..n, 2 * m..2 * m + 1]))
}
