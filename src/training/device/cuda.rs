//! Whether CUDA can be used here. Everything is asked beforehand, because the runtime panics where a part is missing.

use cubecl::cuda::install;
use cudarc::driver::result;
use cudarc::{driver, nvrtc};

/// How many cards there are, one at least.
///
/// # Errors
/// A sentence: there is no driver, or no card.
pub fn cards() -> Result<usize, String> {
    // SAFETY: loads the library and looks at nothing in it.
    if !unsafe { driver::sys::is_culib_present() } {
        return Err("There is no NVIDIA driver here: libcuda was not found.".into());
    }
    result::init().map_err(failed)?;
    match result::device::get_count().map_err(failed)? {
        ..=0 => Err("The NVIDIA driver knows no card.".into()),
        cards => Ok(cards as usize),
    }
}

fn failed(error: driver::DriverError) -> String {
    format!("The NVIDIA driver does not answer: {error}.")
}

/// The name of one of the [`cards`].
///
/// # Errors
/// A sentence: there is no NVRTC, or there are no header files.
pub(super) fn probe(card: usize) -> Result<String, String> {
    // SAFETY: loads the library and looks at nothing in it.
    if !unsafe { nvrtc::sys::is_culib_present() } {
        return Err("NVRTC, CUDA's compiler at run time, was not found: name the folder of libnvrtc.so in LD_LIBRARY_PATH.".into());
    }
    if install::cuda_path().is_none() {
        return Err("CUDA's header files were not found: name the folder that holds `include` in CUDA_PATH.".into());
    }
    let card = result::device::get(card as i32).map_err(failed)?;
    result::device::get_name(card).map_err(failed)
}
