//! User Interest Enhancement (section 4.2): what the user's nearest centres know, weighted by how much the user is like them
//! (Eq. 6). DUIA for items does the same with an item and item centres (section 4.5, A20), and a sanity row with the user's own
//! vector in the place of a centre.

use burn::tensor::{Gradients, IndexingUpdateOp, Tensor, activation::sigmoid};

use crate::config::{Config, StopRule};
use crate::data::Side;
use crate::model::component::{Adds, Component, Features, Found, Kind, LEVELS, Nothing, Reads, Vectors};
use crate::model::export::{self, NoNodes};
use crate::model::layers::ghca::Centres;
use crate::model::layers::graph::{lift, off_graph};
use crate::onnx::{Graph, Value};

/// UIE of users and of items, and the sanity row.
pub static KINDS: [Kind; 3] = [
    Kind { adds: |_| adds(Side::Users), ..Kind::new("uie", |building| Box::new(Uie::new(building.config, Side::Users))) },
    Kind { adds: |_| adds(Side::Items), ..Kind::new("item-uie", |building| Box::new(Uie::new(building.config, Side::Items))) },
    Kind { adds: |_| adds(Side::Users), ..Kind::new("own-vector", |building| Box::new(OwnVector { rule: building.config.stop_rule })) },
];

/// A vector of each level behind a gate, and whether UIE stopped.
fn adds(side: Side) -> Adds {
    let mut adds = Adds::default();
    adds.sides[side as usize] = Vectors { gated: LEVELS, flags: 1, ..Vectors::default() };
    adds
}

/// Eq. 6 of both levels.
pub struct Interest {
    /// `[2, n, m]`: the weighted centres, zero where UIE stopped.
    pub weighted: Tensor<3>,
    /// `[n, 1]`: 1 where UIE stopped (at both levels, under the paper's rule).
    pub stopped: Tensor<2>,
}

/// Eq. 6 and the stop rule A10: `sigmoid(mu . v) mu` of both levels, from the chosen centres `mu` `[2, n, m]`.
/// `sign_v` and `sign_mu` are what the sign test sees: `v` and `mu` themselves, or without their running mean.
pub fn interest(v: Tensor<2>, mu: Tensor<3>, sign_v: Tensor<2>, sign_mu: Tensor<3>, rule: StopRule) -> Interest {
    let dots = (mu.clone() * v.unsqueeze_dim(0)).sum_dim(2);
    let negative = (sign_mu * sign_v.unsqueeze_dim(0)).sum_dim(2).lower_scalar(0.0).float();
    let either = negative.clone().max_dim(0);
    let (open, stopped) = match rule {
        StopRule::Either => (either.clone().neg() + 1.0, either.squeeze_dim(0)),
        StopRule::PerLevel => (negative.clone().neg() + 1.0, negative.min_dim(0).squeeze_dim(0)),
    };
    Interest { weighted: sigmoid(dots) * open * mu, stopped }
}

/// [`interest`] with the sign test on what the centres see.
fn interest_in(centres: &Centres, v: Tensor<2>, mu: Tensor<3>, rule: StopRule) -> Interest {
    let [levels, n, m] = mu.dims();
    let training = v.is_autodiff();
    let sign_v = lift(centres.seen(off_graph(v.clone())), training);
    let flat = mu.clone().reshape([levels * n, m]);
    let sign_mu = lift(centres.seen(off_graph(flat)), training).reshape([levels, n, m]);
    interest(v, mu, sign_v, sign_mu, rule)
}

/// UIE of a side.
pub struct Uie {
    side: Side,
    rule: StopRule,
    /// Whether the ranker's loss reaches centres through Eq. 6 (A3).
    reaches_centres: bool,
}

impl Uie {
    fn new(config: &Config, side: Side) -> Self {
        Self { side, rule: config.stop_rule, reaches_centres: config.centres_from_main }
    }
}

impl Component for Uie {
    fn forward(&self, reads: &Reads<'_>, found: &mut Found, features: &mut Features) {
        let (found, into) = (found.side_mut(self.side), features.side(self.side));
        let Some(v) = &found.v else { return };
        let Some(chosen) = &mut found.chosen else {
            let nothing = Nothing::of(v);
            into.gated.push(reads.lift(nothing.vectors));
            into.flags.push(nothing.flag);
            return;
        };
        let Interest { weighted, stopped } = interest_in(&chosen.centres, v.clone(), chosen.mu(), self.rule);
        let mut weighted = reads.lift(weighted);
        if reads.is_training() && self.reaches_centres {
            weighted = weighted.require_grad();
        }
        (chosen.interest, chosen.stopped) = (Some(weighted.clone()), Some(stopped.clone()));
        into.gated.push(weighted);
        into.flags.push(stopped);
    }

    fn export(
        &self,
        graph: &mut Graph,
        _reads: &export::Reads,
        found: &mut export::Found,
        features: &mut export::Features,
    ) -> Result<(), NoNodes> {
        let (found, into) = (found.side(self.side), features.side(self.side));
        let Some(v) = found.v.clone() else { return Ok(()) };
        let Some(chosen) = found.chosen.clone() else {
            let nothing = graph.zeros_like(&v);
            into.gated.extend([nothing.clone(), nothing.clone()]);
            into.flags.push(graph.sum(&nothing, -1));
            return Ok(());
        };
        let sign_v = chosen.seen(graph, &v);
        let sign_mu = chosen.mu.each_ref().map(|mu| chosen.seen(graph, mu));
        export_interest(graph, &v, &chosen.mu, (&sign_v, &sign_mu), self.rule, into);
        Ok(())
    }

    /// Summed over the samples that chose each centre.
    fn centre_gradient(&self, found: &Found, gradients: &mut Gradients) -> Option<(Side, Tensor<2>)> {
        let (chosen, v) = (found.side(self.side).chosen.as_ref()?, found.side(self.side).v.clone()?);
        let gradient = chosen.interest.as_ref()?.grad_remove(gradients)?;
        let mu = Tensor::from_inner(chosen.mu()).require_grad();
        let [levels, n, m] = gradient.dims();
        let weighted = interest_in(&chosen.centres, Tensor::from_inner(v), mu.clone(), self.rule).weighted;
        let update = mu.grad(&(weighted * Tensor::from_inner(gradient)).sum().backward())?.reshape([levels * n, m]);
        let rows = chosen.centres.rows_of(&chosen.assigned);
        Some((self.side, chosen.centres.centres().zeros_like().select_assign(0, rows, update, IndexingUpdateOp::Add)))
    }
}

/// Sanity row: the limit of ever more centres, where each user's is the user.
struct OwnVector {
    rule: StopRule,
}

impl Component for OwnVector {
    fn forward(&self, reads: &Reads<'_>, found: &mut Found, features: &mut Features) {
        let Some(v) = found.side(Side::Users).v.clone() else { return };
        let own = v.clone().unsqueeze_dim::<3>(0).repeat_dim(0, LEVELS);
        let Interest { weighted, stopped } = interest(v.clone(), own.clone(), v, own, self.rule);
        let into = features.side(Side::Users);
        into.gated.push(reads.lift(weighted));
        into.flags.push(stopped);
    }

    fn export(
        &self,
        graph: &mut Graph,
        _reads: &export::Reads,
        found: &mut export::Found,
        features: &mut export::Features,
    ) -> Result<(), NoNodes> {
        let Some(v) = found.side(Side::Users).v.clone() else { return Ok(()) };
        let own = [v.clone(), v.clone()];
        export_interest(graph, &v, &own, (&v, &own), self.rule, features.side(Side::Users));
        Ok(())
    }
}

/// The nodes of [`interest`]: vectors of both levels and the flag.
fn export_interest(
    graph: &mut Graph,
    v: &Value,
    mu: &[Value; 2],
    (sign_v, sign_mu): (&Value, &[Value; 2]),
    rule: StopRule,
    into: &mut export::SideFeatures,
) {
    let nothing = graph.number(0.0);
    let negative = sign_mu.each_ref().map(|mu| {
        let dot = graph.dot(mu, sign_v);
        let negative = graph.is_less(&dot, &nothing);
        graph.float(&negative)
    });
    let [either, both] = [graph.max(&negative[0], &negative[1]), graph.min(&negative[0], &negative[1])];
    let one = graph.number(1.0);
    for (level, mu) in mu.iter().enumerate() {
        let closed = match rule {
            StopRule::Either => &either,
            StopRule::PerLevel => &negative[level],
        };
        let (open, dot) = (graph.sub(&one, closed), graph.dot(mu, v));
        let weight = graph.sigmoid(&dot);
        let weight = graph.mul(&weight, &open);
        into.gated.push(graph.mul(&weight, mu));
    }
    into.flags.push(match rule {
        StopRule::Either => either,
        StopRule::PerLevel => both,
    });
}
