//! Which kernels a device is told to run, and for how long each ran.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cubecl::config::type_name_format;
use cubecl::logging::{Duration, LaunchObservation, LaunchObserver, ProfileDuration, TimingMethod, TimingRequest};
use duia::platform::block_on;
use serde::{Deserialize, Serialize};

/// The launches of one kernel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kernel {
    /// Its name, shortened.
    pub name: String,
    /// Launches.
    pub launches: f64,
    /// Milliseconds on the device; 0 where it cannot tell.
    pub milliseconds: f64,
}

/// Counts launches by kernel, and where `timed` keeps the device's clock for each.
struct Tally {
    timed: bool,
    kernels: Mutex<HashMap<&'static str, (u64, f64)>>,
    pending: Mutex<Vec<(&'static str, ProfileDuration)>>,
}

fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LaunchObserver for Tally {
    fn launched(&self, kernel: &'static str) {
        open(&self.kernels).entry(kernel).or_default().0 += 1;
    }

    fn timing(&self) -> TimingRequest {
        if self.timed { TimingRequest::Deferred } else { TimingRequest::None }
    }

    fn profiled(&self, kernel: &'static str, profile: ProfileDuration) {
        open(&self.pending).push((kernel, profile));
    }

    fn timed(&self, kernel: &'static str, duration: Duration, _method: TimingMethod) {
        open(&self.kernels).entry(kernel).or_default().1 += duration.as_secs_f64();
    }
}

/// The kernels that `work` launches, those that take longest first, and then by launches. With `timed` their time on the device
/// is measured too, which slows the work down.
pub fn observe(timed: bool, work: impl FnOnce()) -> Vec<Kernel> {
    let tally = Arc::new(Tally { timed, kernels: Mutex::default(), pending: Mutex::default() });
    let observation = LaunchObservation::new(tally.clone());
    work();
    drop(observation);
    for (kernel, profile) in std::mem::take(&mut *open(&tally.pending)) {
        if let Some(ticks) = block_on(profile.resolve()) {
            open(&tally.kernels).entry(kernel).or_default().1 += ticks.duration().as_secs_f64();
        }
    }
    let mut kernels: Vec<Kernel> = open(&tally.kernels)
        .iter()
        .map(|(name, &(launches, seconds))| Kernel { name: short(name), launches: launches as f64, milliseconds: seconds * 1e3 })
        .collect();
    kernels.sort_by(|a, b| b.milliseconds.total_cmp(&a.milliseconds).then(b.launches.total_cmp(&a.launches)).then(a.name.cmp(&b.name)));
    kernels
}

/// A kernel's name without its module and its types' parameters.
fn short(name: &str) -> String {
    let name = type_name_format(name, cubecl::config::TypeNameFormatLevel::Short);
    name.chars().take(48).collect()
}
