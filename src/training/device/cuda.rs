//! Whether CUDA can be used here. Everything is asked beforehand, because the runtime panics where a part is missing.

use cubecl::cuda::install;
use cudarc::driver::result;
use cudarc::{driver, nvrtc};

/// The name of the first card.
///
/// # Errors
/// A sentence: there is no driver, no card, no NVRTC or no header files.
pub fn probe() -> Result<String, String> {
    // SAFETY: loads the library and looks at nothing in it.
    if !unsafe { driver::sys::is_culib_present() } {
        return Err("There is no NVIDIA driver here: libcuda was not found.".into());
    }
    let failed = |error: driver::DriverError| format!("The NVIDIA driver does not answer: {error}.");
    result::init().map_err(failed)?;
    if result::device::get_count().map_err(failed)? == 0 {
        return Err("The NVIDIA driver knows no card.".into());
    }
    // SAFETY: as above.
    if !unsafe { nvrtc::sys::is_culib_present() } {
        return Err("NVRTC, CUDA's compiler at run time, was not found: name the folder of libnvrtc.so in LD_LIBRARY_PATH.".into());
    }
    if install::cuda_path().is_none() {
        return Err("CUDA's header files were not found: name the folder that holds `include` in CUDA_PATH.".into());
    }
    let card = result::device::get(0).map_err(failed)?;
    result::device::get_name(card).map_err(failed)
}
