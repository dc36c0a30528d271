//! Stream clustering (GHCA): the search for the nearest centres, what samples want of theirs, and centres in the place of items.
//! Nothing here is on the autodiff graph: centres move by a rule of their own (A3, A4).

mod cpu;
mod gpu;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::{Int, Shape, Tensor};

/// Two levels of centres in one tensor: `first` level-1 rows, then `children` rows for each of them in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Levels {
    /// Level-1 centres.
    pub first: usize,
    /// Level-2 centres of each level-1 centre.
    pub children: usize,
}

impl Levels {
    /// Rows of both levels.
    pub fn rows(self) -> usize {
        self.first * (1 + self.children)
    }
}

#[backend_extension(Flex, Cube, Fusion)]
trait ClusterKernels: Backend {
    #[fusion(dtype = kind, shape = Shape::new([v[0], 2]))]
    fn nearest(v: FloatTensor<Self>, centres: FloatTensor<Self>, kind: IntTensor<Self>, levels: Levels, cosine: bool) -> IntTensor<Self>;

    #[fusion(dtype = centres, shape = Shape::new([2, assigned[0], centres[1]]))]
    fn chosen_centres(centres: FloatTensor<Self>, assigned: IntTensor<Self>, levels: Levels) -> FloatTensor<Self>;

    #[fusion(dtype = like, shape = Shape::new([assigned[0], 2]))]
    fn entries(assigned: IntTensor<Self>, like: FloatTensor<Self>, step: f32) -> FloatTensor<Self>;

    #[fusion(dtype = mean, shape = mean)]
    fn follow(mean: FloatTensor<Self>, v: FloatTensor<Self>, weights: FloatTensor<Self>, rate: f32) -> FloatTensor<Self>;

    #[fusion(dtype = v, shape = Shape::new([pulled(*levels, v[1])]))]
    fn centre_pull(
        v: FloatTensor<Self>,
        centres: FloatTensor<Self>,
        assigned: IntTensor<Self>,
        weights: FloatTensor<Self>,
        levels: Levels,
        sigma_in_graph: bool,
    ) -> FloatTensor<Self>;

    #[fusion(dtype = centres, shape = Shape::new([ids[0] * (2 * centres[1] + 1)]))]
    fn pool_centres(
        centres: FloatTensor<Self>,
        entries: FloatTensor<Self>,
        born: FloatTensor<Self>,
        ids: IntTensor<Self>,
        levels: Levels,
    ) -> FloatTensor<Self>;

    #[fusion(dtype = entries, shape = Shape::new([own[0], 3]))]
    fn count_shared(
        entries: FloatTensor<Self>,
        born: FloatTensor<Self>,
        ids: IntTensor<Self>,
        own: IntTensor<Self>,
        levels: Levels,
    ) -> FloatTensor<Self>;
}

/// Numbers that [`centre_pull`] gives of centres `m` wide: each centre's pull, its samples, the losses of both levels, all samples.
fn pulled(levels: Levels, m: usize) -> usize {
    levels.rows() * (m + 1) + 3
}

/// Eq. 2 and 3: for each of `v` `[samples, m]` the most similar level-1 row of `centres` `[levels.rows(), m]` and the
/// most similar of its children, `[samples, 2]` (the second counts children only: `children * parent + child`).
/// `kind` is any integer tensor of the device: it says which integer type the ids take.
pub fn nearest(v: Tensor<2>, centres: Tensor<2>, kind: Tensor<1, Int>, levels: Levels, cosine: bool) -> Tensor<2, Int> {
    Tensor::from_dispatch(Dispatch::nearest(v.into_dispatch(), centres.into_dispatch(), kind.into_dispatch(), levels, cosine))
}

/// The `centres` `[levels.rows(), m]` that samples are `assigned` to, `[samples, 2]` as [`nearest`] gives it: both levels, `[2, samples,
/// m]`.
pub fn chosen_centres(centres: Tensor<2>, assigned: Tensor<2, Int>, levels: Levels) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::chosen_centres(centres.into_dispatch(), assigned.into_dispatch(), levels))
}

/// Samples `assigned` to centres, `[samples, 2]` as [`nearest`] gives it, as a table keeps them: the level-2 centre and the `step`,
/// `[samples, 2]`. `like` is any float tensor of the device: it says which type the numbers take.
pub fn entries(assigned: Tensor<2, Int>, like: Tensor<1>, step: f32) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::entries(assigned.into_dispatch(), like.into_dispatch(), step))
}

/// A running `mean` `[1, m]`, moved by the share `rate` towards that of the vectors `v` `[samples, m]` whose weight in `weights`
/// `[samples]` is 1 and not 0; where there are none it stays.
pub fn follow(mean: Tensor<2>, v: Tensor<2>, weights: Tensor<1>, rate: f32) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::follow(mean.into_dispatch(), v.into_dispatch(), weights.into_dispatch(), rate))
}

/// How the samples of each centre pull it, and the losses.
pub struct Pull {
    /// `[levels.rows(), m]`: the sum over its samples of minus half the gradient of Eq. 4 or 5, `sigma (v - mu)` (with
    /// `sigma_in_graph` also minus half of sigma's own, `-(1/2) sigma (1 - sigma) |v - mu|^2 v`).
    pub towards: Tensor<2>,
    /// `[levels.rows()]`: the number of its samples.
    pub count: Tensor<1>,
    /// `[2]`: Eq. 4 and Eq. 5, sums over all samples of `sigma |v - mu|^2`.
    pub losses: Tensor<1>,
    /// `[1]`: the number of samples that cluster.
    pub samples: Tensor<1>,
}

/// Eq. 4 and 5 of vectors `v` `[samples, m]` and the `centres` `[levels.rows(), m]` that they are `assigned` to, `[samples, 2]`. Samples
/// with weight 0 do not cluster.
pub fn centre_pull(
    v: Tensor<2>,
    centres: Tensor<2>,
    assigned: Tensor<2, Int>,
    weights: Tensor<1>,
    levels: Levels,
    sigma_in_graph: bool,
) -> Pull {
    let ([_, m], rows) = (v.dims(), levels.rows());
    let flat: Tensor<1> = Tensor::from_dispatch(Dispatch::centre_pull(
        v.into_dispatch(),
        centres.into_dispatch(),
        assigned.into_dispatch(),
        weights.into_dispatch(),
        levels,
        sigma_in_graph,
    ));
    let (count, losses) = (rows * m, rows * (m + 1));
    Pull {
        towards: flat.clone().slice([0..count]).reshape([rows, m]),
        count: flat.clone().slice([count..losses]),
        losses: flat.clone().slice([losses..losses + 2]),
        samples: flat.slice([losses + 2..losses + 3]),
    }
}

/// The mean of the centres that stand for the items of a bag, both levels `[2, samples, m]`, and 1 where the bag has any `[samples,
/// 1]`. `entries` `[items, 2]` is each item's level-2 centre (`children * parent + child`) and the step at which it was assigned; it
/// is valid where that was no earlier than the centre was `born` `[level-2 centres]`. `ids` `[samples, slots]` are the items
/// (negative: padding), `centres` is `[levels.rows(), m]`.
pub fn pool_centres(
    centres: Tensor<2>,
    entries: Tensor<2>,
    born: Tensor<1>,
    ids: Tensor<2, Int>,
    levels: Levels,
) -> (Tensor<3>, Tensor<2>) {
    let ([_, m], [samples, _]) = (centres.dims(), ids.dims());
    let flat: Tensor<1> = Tensor::from_dispatch(Dispatch::pool_centres(
        centres.into_dispatch(),
        entries.into_dispatch(),
        born.into_dispatch(),
        ids.into_dispatch(),
        levels,
    ));
    let means = 2 * samples * m;
    (flat.clone().slice([0..means]).reshape([2, samples, m]), flat.slice([means..means + samples]).reshape([samples, 1]))
}

/// How much of a bag is in a sample's own clusters: `[samples, 3]`, the entries of its bag that stand for its own level-1 centre,
/// for its own level-2 centre, and for any. `entries`, `born` and `ids` `[bags, slots]` are as in [`pool_centres`], `own`
/// `[samples, 2]` as [`nearest`] gives it, the samples of a bag in a row.
pub fn count_shared(entries: Tensor<2>, born: Tensor<1>, ids: Tensor<2, Int>, own: Tensor<2, Int>, levels: Levels) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::count_shared(
        entries.into_dispatch(),
        born.into_dispatch(),
        ids.into_dispatch(),
        own.into_dispatch(),
        levels,
    ))
}
