//! What charts keep of a run: everything at first, then every second point, so that a long run costs no more than a short one.

/// Two points a pixel of the widest chart.
const MOST: usize = 1_024;

/// A bounded history in the order of the steps.
#[derive(Clone, Debug)]
pub struct Series<T> {
    points: Vec<T>,
}

impl<T> Default for Series<T> {
    fn default() -> Self {
        Self { points: Vec::new() }
    }
}

impl<T> Series<T> {
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

    /// The newest point.
    pub fn last(&self) -> Option<&T> {
        self.points.last()
    }
}
