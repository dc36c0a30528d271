//! The kernels on the CPU: tensors of burn-flex as slices, and back.

use burn::backend::Flex;
use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{DType, TensorData};

use super::{AdamStep, Bags, GraphKernels, Levels, Mix, RowKernels, RowRule, loops};

/// A float tensor's numbers, contiguous.
macro_rules! slice {
    ($tensor:ident, $type:ty) => {
        let $tensor = if $tensor.is_contiguous() { $tensor } else { $tensor.to_contiguous() };
        let $tensor: &[$type] = $tensor.as_slice().expect("a contiguous tensor of the type that the kernels are given");
    };
}

fn float<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FloatTensor<Flex> {
    Flex::float_from_data(TensorData::new(values, shape), &Default::default())
}

fn dims<const D: usize>(tensor: &FloatTensor<Flex>) -> [usize; D] {
    tensor.layout().shape().dims()
}

impl RowKernels for Flex {
    fn pool_rows(table: FloatTensor<Self>, ids: IntTensor<Self>, bags: Bags, width: usize) -> FloatTensor<Self> {
        let [samples, _]: [usize; 2] = dims(&ids);
        slice!(table, f32);
        slice!(ids, i32);
        float(loops::pool_rows(table, ids, bags, width), [samples, bags.fields() * width])
    }

    fn adam_rows(
        mut table: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        plan: IntTensor<Self>,
        positions: IntTensor<Self>,
        weights: FloatTensor<Self>,
        step: AdamStep,
    ) -> FloatTensor<Self> {
        let [_, columns]: [usize; 2] = dims(&table);
        slice!(grad, f32);
        slice!(plan, i32);
        slice!(positions, i32);
        slice!(weights, f32);
        loops::adam_rows(table.storage_mut(), columns / 3, grad, plan, positions, weights, step);
        table
    }

    fn nearest(v: FloatTensor<Self>, centres: FloatTensor<Self>, _kind: IntTensor<Self>, levels: Levels, cosine: bool) -> IntTensor<Self> {
        let [samples, m]: [usize; 2] = dims(&v);
        slice!(v, f32);
        slice!(centres, f32);
        let ids = loops::nearest(v, centres, m, levels, cosine);
        Flex::int_from_data(TensorData::new(ids, [samples, 2]).convert_dtype(DType::I32), &Default::default())
    }

    fn centre_pull(
        v: FloatTensor<Self>,
        centres: FloatTensor<Self>,
        assigned: IntTensor<Self>,
        weights: FloatTensor<Self>,
        levels: Levels,
        sigma_in_graph: bool,
    ) -> FloatTensor<Self> {
        let [_, m]: [usize; 2] = dims(&v);
        slice!(v, f32);
        slice!(centres, f32);
        slice!(assigned, i32);
        slice!(weights, f32);
        float(loops::centre_pull(v, centres, m, assigned, weights, levels, sigma_in_graph), [levels.rows() * (m + 2)])
    }

    fn write_rows(
        mut table: FloatTensor<Self>,
        values: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        plan: IntTensor<Self>,
        positions: IntTensor<Self>,
        rule: RowRule,
    ) -> FloatTensor<Self> {
        let [_, width]: [usize; 2] = dims(&table);
        slice!(values, f32);
        slice!(weights, f32);
        slice!(plan, i32);
        slice!(positions, i32);
        loops::write_rows(table.storage_mut(), width, values, weights, plan, positions, rule);
        table
    }

    fn pool_centres(
        centres: FloatTensor<Self>,
        entries: FloatTensor<Self>,
        born: FloatTensor<Self>,
        ids: IntTensor<Self>,
        levels: Levels,
    ) -> FloatTensor<Self> {
        let ([_, m], [samples, slots]): ([usize; 2], [usize; 2]) = (dims(&centres), dims(&ids));
        slice!(centres, f32);
        slice!(entries, f32);
        slice!(born, f32);
        slice!(ids, i32);
        float(loops::pool_centres(centres, m, entries, born, ids, slots, levels), [samples * (2 * m + 1)])
    }

    fn count_shared(
        entries: FloatTensor<Self>,
        born: FloatTensor<Self>,
        ids: IntTensor<Self>,
        own: IntTensor<Self>,
        levels: Levels,
    ) -> FloatTensor<Self> {
        let ([bags, slots], [samples, _]): ([usize; 2], [usize; 2]) = (dims(&ids), dims(&own));
        slice!(entries, f32);
        slice!(born, f32);
        slice!(ids, i32);
        slice!(own, i32);
        float(loops::count_shared(entries, born, ids, slots, own, samples / bags, levels), [samples, 3])
    }
}

impl GraphKernels for Flex {
    fn mix(gates: FloatTensor<Self>, experts: FloatTensor<Self>, mix: Mix) -> FloatTensor<Self> {
        slice!(gates, f32);
        slice!(experts, f32);
        float(loops::mix(gates, experts, mix), [mix.streams, mix.samples, mix.width])
    }

    fn mix_grad_experts(gates: FloatTensor<Self>, grad: FloatTensor<Self>, mix: Mix) -> FloatTensor<Self> {
        slice!(gates, f32);
        slice!(grad, f32);
        float(loops::mix_grad_experts(gates, grad, mix), mix.experts())
    }

    fn mix_grad_gates(experts: FloatTensor<Self>, grad: FloatTensor<Self>, mix: Mix) -> FloatTensor<Self> {
        slice!(experts, f32);
        slice!(grad, f32);
        float(loops::mix_grad_gates(experts, grad, mix), mix.gates())
    }

    fn rms_norm(e: FloatTensor<Self>, mean: FloatTensor<Self>, open: FloatTensor<Self>) -> FloatTensor<Self> {
        let [vectors, n, m]: [usize; 3] = dims(&e);
        slice!(e, f32);
        slice!(mean, f32);
        slice!(open, f32);
        float(loops::rms_norm(e, mean, open, n, m), [n, vectors * m])
    }

    fn rms_norm_grad(e: FloatTensor<Self>, mean: FloatTensor<Self>, open: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let [vectors, n, m]: [usize; 3] = dims(&e);
        slice!(e, f32);
        slice!(mean, f32);
        slice!(open, f32);
        slice!(grad, f32);
        float(loops::rms_norm_grad(e, mean, open, grad, n, m), [vectors, n, m])
    }

    fn fit(normed: FloatTensor<Self>, other: FloatTensor<Self>) -> FloatTensor<Self> {
        let ([requests, columns], [samples, m]): ([usize; 2], [usize; 2]) = (dims(&normed), dims(&other));
        slice!(normed, f32);
        slice!(other, f32);
        float(loops::fit(normed, other, requests, m), [columns / m, samples])
    }

    fn fit_grad(other: FloatTensor<Self>, grad: FloatTensor<Self>, requests: usize) -> FloatTensor<Self> {
        let ([vectors, _], [_, m]): ([usize; 2], [usize; 2]) = (dims(&grad), dims(&other));
        slice!(other, f32);
        slice!(grad, f32);
        float(loops::fit_grad(other, grad, requests, m), [requests, vectors * m])
    }

    fn dots(users: FloatTensor<Self>, items: FloatTensor<Self>) -> FloatTensor<Self> {
        let ([requests, m], [samples, _]): ([usize; 2], [usize; 2]) = (dims(&users), dims(&items));
        slice!(users, f32);
        slice!(items, f32);
        float(loops::dots(users, items, requests, m), [samples, 1])
    }

    fn dots_grad_items(users: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let ([requests, m], [samples, _]): ([usize; 2], [usize; 2]) = (dims(&users), dims(&grad));
        slice!(users, f32);
        slice!(grad, f32);
        float(loops::dots_grad_items(users, grad, requests, m), [samples, m])
    }

    fn dots_grad_users(items: FloatTensor<Self>, grad: FloatTensor<Self>, requests: usize) -> FloatTensor<Self> {
        let [_, m]: [usize; 2] = dims(&items);
        slice!(items, f32);
        slice!(grad, f32);
        float(loops::dots_grad_users(items, grad, requests, m), [requests, m])
    }

    fn delta(gate: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape: [usize; 3] = dims(&gate);
        slice!(gate, f32);
        float(loops::delta(gate), shape)
    }

    fn gated(gate: FloatTensor<Self>, lent: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_mul(Self::delta(gate), lent)
    }
}
