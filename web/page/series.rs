//! What charts keep of a run: everything at first, then every second point, so that a long run costs no more than a short one.

/// A bounded history in the order of the steps: by default two points a pixel of the widest chart.
#[derive(Clone, Debug)]
pub struct Series<T, const MOST: usize = 1_024> {
    points: Vec<T>,
}

impl<T, const MOST: usize> Default for Series<T, MOST> {
    fn default() -> Self {
        Self { points: Vec::new() }
    }
}

impl<T, const MOST: usize> Series<T, MOST> {
    /// Adds the newest point.
    pub fn push(&mut self, point: T) {
        if self.points.len() == MOST {
            let mut keep = false;
            self.points.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.points.push(point);
    }

    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
        self.points.iter()
    }

    /// The last point of a step or before it, or the newest.
    pub fn until(&self, step: Option<u64>, step_of: impl Fn(&T) -> u64) -> Option<&T> {
        self.points.iter().rfind(|point| step.is_none_or(|step| step_of(point) <= step))
    }

    /// The points of a step and before it, or all of them; oldest first.
    pub fn before(&self, step: Option<u64>, step_of: impl Fn(&T) -> u64) -> &[T] {
        let end = step.map_or(self.points.len(), |step| self.points.partition_point(|point| step_of(point) <= step));
        &self.points[..end]
    }

    /// The newest point.
    pub fn last(&self) -> Option<&T> {
        self.points.last()
    }
}
