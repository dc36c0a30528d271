//! The plane that centres and users are shown in: the two main axes of the level-1 centres' directions.
//!
//! The axes are found by subspace iteration that starts from the frame before, so that the picture turns as little as
//! the centres do: a fresh decomposition flips signs at will.

/// Iterations a frame. Few suffice, because each frame starts where the last one ended.
const ITERATIONS: usize = 8;
/// Radius that the farthest centre is drawn at.
const RADIUS: f32 = 0.9;

/// Two orthonormal axes, carried from frame to frame.
#[derive(Clone, Debug, Default)]
pub struct Plane {
    mean: Vec<f32>,
    axes: [Vec<f32>; 2],
    scale: f32,
}

impl Plane {
    /// Follows the centres `[count, m]`.
    pub fn follow(&mut self, centres: &[f32], m: usize) {
        let directions: Vec<Vec<f32>> = centres.chunks_exact(m).map(direction).collect();
        let count = directions.len().max(1) as f32;
        self.mean = (0..m).map(|k| directions.iter().map(|d| d[k]).sum::<f32>() / count).collect();
        let rows: Vec<Vec<f32>> = directions.iter().map(|d| d.iter().zip(&self.mean).map(|(a, b)| a - b).collect()).collect();
        if self.axes[0].len() != m {
            self.axes = [0, 1].map(|axis| (0..m).map(|k| if k % 2 == axis { 1.0 } else { 0.0 }).collect());
        }
        for _ in 0..ITERATIONS {
            let turned = [0, 1].map(|axis| turn(&rows, &self.axes[axis]));
            self.axes = orthonormal(turned, &self.axes);
        }
        let farthest = rows.iter().map(|row| self.flat(row)).map(|[x, y]| (x * x + y * y).sqrt()).fold(1e-6, f32::max);
        let scale = RADIUS / farthest;
        // The first frame takes its scale at once; later ones ease into it, or the whole field would breathe.
        self.scale = if self.scale > 0.0 { 0.8 * self.scale + 0.2 * scale } else { scale };
    }

    /// `[count, 2]` from `[count, m]`.
    pub fn project(&self, vectors: &[f32], m: usize) -> Vec<f32> {
        let mut out = Vec::with_capacity(vectors.len() / m * 2);
        for vector in vectors.chunks_exact(m) {
            let row: Vec<f32> = direction(vector).iter().zip(&self.mean).map(|(a, b)| a - b).collect();
            out.extend(self.flat(&row).map(|x| x * self.scale));
        }
        out
    }

    fn flat(&self, row: &[f32]) -> [f32; 2] {
        [0, 1].map(|axis| dot(row, &self.axes[axis]))
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn direction(vector: &[f32]) -> Vec<f32> {
    let norm = dot(vector, vector).sqrt().max(1e-12);
    vector.iter().map(|x| x / norm).collect()
}

/// `X' X axis`.
fn turn(rows: &[Vec<f32>], axis: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; axis.len()];
    for row in rows {
        let along = dot(row, axis);
        out.iter_mut().zip(row).for_each(|(o, r)| *o += along * r);
    }
    out
}

/// Gram-Schmidt; an axis that vanished keeps its old direction.
fn orthonormal([first, mut second]: [Vec<f32>; 2], before: &[Vec<f32>; 2]) -> [Vec<f32>; 2] {
    let unit = |vector: Vec<f32>, old: &Vec<f32>| {
        let norm = dot(&vector, &vector).sqrt();
        if norm > 1e-9 { vector.iter().map(|x| x / norm).collect() } else { old.clone() }
    };
    let first = unit(first, &before[0]);
    let along = dot(&second, &first);
    second.iter_mut().zip(&first).for_each(|(s, f)| *s -= along * f);
    let second = unit(second, &before[1]);
    [first, second]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points on a line and a little off it, in four dimensions.
    fn cloud(angle: f32) -> Vec<f32> {
        (0..40)
            .flat_map(|i| {
                let (t, u) = ((i as f32 / 20.0) - 1.0, ((i * 7) % 5) as f32 / 10.0 - 0.2);
                [1.0, t * angle.cos(), t * angle.sin(), u]
            })
            .collect()
    }

    #[test]
    fn the_plane_keeps_what_spreads_and_hardly_turns() {
        let mut plane = Plane::default();
        (0..5).for_each(|_| plane.follow(&cloud(0.3), 4));
        let before = plane.project(&cloud(0.3), 4);
        assert!(before.iter().all(|x| x.abs() <= 1.0));
        let spread = before.chunks_exact(2).map(|p| p[0] * p[0] + p[1] * p[1]).sum::<f32>();
        assert!(spread > 4.0, "{spread}");
        plane.follow(&cloud(0.31), 4);
        let after = plane.project(&cloud(0.31), 4);
        let moved = before.iter().zip(&after).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(moved < 0.05, "{moved}");
    }

    #[test]
    fn twins_do_not_divide_by_zero() {
        let mut plane = Plane::default();
        plane.follow(&[1.0, 0.0, 1.0, 0.0], 2);
        assert!(plane.project(&[1.0, 0.0, 0.0, 0.0], 2).iter().all(|x| x.is_finite()));
    }
}
