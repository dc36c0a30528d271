//! The search of GHCA: the most similar level-1 centre, then the most similar of its children (Eq. 2, 3 and 11, 12), and the same
//! for vectors of the other side (Eq. 7, 8).

use burn::tensor::{Int, Tensor};

use crate::kernels::{Levels, chosen_centres, nearest};
use crate::model::export::Chosen;
use crate::model::layers::table::integers;
use crate::onnx::{Graph, Value};

/// Two levels of centres as they are at a moment, and their search.
#[derive(Clone)]
pub struct Centres {
    /// `[levels.rows(), m]`
    pub(super) rows: Tensor<2>,
    /// `[levels.rows()]`: samples that each centre has taken since the start.
    pub(super) hits: Tensor<1>,
    /// `[1, m]`: running mean of the vectors that clustered; zero until centres are filled.
    pub(super) mean: Tensor<2>,
    pub(super) levels: Levels,
    pub(super) is_cosine: bool,
    pub(super) is_centred: bool,
}

impl Centres {
    /// The two levels' sizes.
    pub fn levels(&self) -> Levels {
        self.levels
    }

    /// `[levels.rows(), m]`, level 1 first.
    pub fn centres(&self) -> Tensor<2> {
        self.rows.clone()
    }

    /// `[levels.rows()]`: samples that each centre has taken.
    pub fn hits(&self) -> Tensor<1> {
        self.hits.clone()
    }

    /// `[1, m]`: the running mean of the vectors that clustered; zero until centres are filled.
    pub fn mean(&self) -> Tensor<2> {
        self.mean.clone()
    }

    /// `v` as the search and the sign test see it: itself, or without the running mean.
    pub fn seen(&self, v: Tensor<2>) -> Tensor<2> {
        if self.is_centred { v - self.mean.clone() } else { v }
    }

    /// Eq. 2 and 3, the second restricted to the children of the first (A8): `[samples, 2]`, see
    /// [`nearest`].
    pub fn assign(&self, v: Tensor<2>) -> Tensor<2, Int> {
        self.nearest(self.seen(v))
    }

    /// Eq. 7 and 8: the same for `seekers` `[samples, m]` of the other side, whose running mean `mean` `[1, m]` the search takes
    /// out where it takes out its own.
    pub fn sought(&self, seekers: Tensor<2>, mean: Option<Tensor<2>>) -> Tensor<2, Int> {
        self.nearest(match mean.filter(|_| self.is_centred) {
            Some(mean) => seekers - mean,
            None => seekers,
        })
    }

    fn nearest(&self, seen: Tensor<2>) -> Tensor<2, Int> {
        let kind = integers(vec![0], &seen.device());
        nearest(seen, self.seen(self.rows.clone()), kind, self.levels, self.is_cosine)
    }

    /// Rows of [`Centres::centres`] for assignments `[samples, 2]`: both levels, `[2 * samples]`, level 1 first.
    pub fn rows_of(&self, assigned: &Tensor<2, Int>) -> Tensor<1, Int> {
        let [samples, _] = assigned.dims();
        let parents = assigned.clone().slice([0..samples, 0..1]);
        let children = assigned.clone().slice([0..samples, 1..2]) + self.levels.first as i32;
        Tensor::cat(vec![parents, children], 0).reshape([2 * samples])
    }

    /// The chosen centres of both levels, `[2, samples, m]`.
    pub fn chosen(&self, assigned: Tensor<2, Int>) -> Tensor<3> {
        chosen_centres(self.rows.clone(), assigned, self.levels)
    }

    /// The nodes of the search for `v` `[requests, n, m]`, in the tensors called `name`.
    pub fn export_nearest(&self, graph: &mut Graph, name: &str, v: &Value) -> Chosen {
        let (first, all) = (self.levels.first, self.levels.rows());
        let centres = [graph.rows(name, 0..first, &format!("{name}.1")), graph.rows(name, first..all, &format!("{name}.2"))];
        let mut chosen = Chosen {
            rows: [v.clone(), v.clone()],
            mu: [v.clone(), v.clone()],
            centres,
            mean: graph.parameter(&format!("{name}.mean")),
            is_centred: self.is_centred,
            levels: self.levels,
        };
        let seen = chosen.seen(graph, v);
        let [of_parents, of_children] = chosen.centres.clone().map(|centres| self.export_similarity(graph, &chosen, &seen, &centres));
        let parent = graph.argmax(&of_parents);
        // Another's children are no candidates.
        let parents: Vec<i32> = (0..all - first).map(|child| (child / self.levels.children) as i32).collect();
        let parents = graph.table(&format!("{name}.parents"), parents, &[all - first]);
        let (parents, own) = (graph.whole(&parents), graph.unsqueeze(&parent, -1));
        let (is_own, least) = (graph.is_equal(&own, &parents), graph.number(f32::MIN));
        let of_children = graph.choose(&is_own, &of_children, &least);
        chosen.rows = [parent, graph.argmax(&of_children)];
        chosen.mu = [0, 1].map(|level| graph.gather(&chosen.centres[level], &chosen.rows[level]));
        chosen
    }

    /// Similarities of what is seen of vectors `[requests, n, m]` with `centres` `[count, m]`: `[requests, n, count]`.
    fn export_similarity(&self, graph: &mut Graph, chosen: &Chosen, seen: &Value, centres: &Value) -> Value {
        let mut keys = chosen.seen(graph, centres);
        if self.is_cosine {
            let square = graph.dot(&keys, &keys);
            let square = graph.plus(&square, 1e-12);
            let length = graph.sqrt(&square);
            keys = graph.div(&keys, &length);
        }
        let keys = graph.transpose(&keys, &[1, 0]);
        graph.matmul(seen, &keys)
    }
}
