//! A stand-in for CubeCL's LLVM code generator.
//!
//! CubeCL can compile a kernel for CUDA in two ways: as CUDA C++ through NVRTC, which comes with every CUDA installation, or as
//! PTX through an LLVM of its own. Both are always linked, and the second downloads a prebuilt LLVM 23 in its build script and adds
//! some 100 MB to the program. `duia` takes the first (the feature `cuda-cpp` of `cubecl`), so this crate answers to the names that
//! the CUDA runtime mentions and refuses to compile anything.

use std::ffi::c_char;

use cubecl_core::ir::nvidia::SmArch;
use cubecl_core::prelude::KernelDefinition;
use cubecl_server::compiler::CompilationError;
use cubecl_server::kernel::BufferIOAttr;

/// What the code generator would compile for.
#[derive(Clone, Copy, Debug)]
pub enum LlvmTarget {
    /// NVIDIA's PTX.
    Nvptx,
}

/// The code generator that is not here.
#[derive(Clone, Debug)]
pub struct PlironCompiler {
    /// What it would compile for.
    pub target: LlvmTarget,
}

impl PlironCompiler {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn compile(&mut self, _kernel: KernelDefinition, _options: &PlironOptions) -> Result<PlironArtifact, CompilationError> {
        let reason = "this program was built without LLVM: kernels for CUDA go through NVRTC".into();
        Err(CompilationError::Generic { reason, backtrace: cubecl_core::environment::backtrace::BackTrace::capture() })
    }

    /// The name of its language.
    pub fn lang_tag(&self) -> &'static str {
        "llvm"
    }
}

/// What it would be told.
#[derive(Clone, Debug, Default)]
pub struct PlironOptions {
    /// An AMD architecture.
    pub arch: Option<String>,
    /// An NVIDIA architecture.
    pub sm_arch: Option<SmArch>,
    /// The newest PTX that the driver loads.
    pub ptx_version: Option<nvptx::ptx_version::PtxVersion>,
    /// Whether launch parameters are grid constants.
    pub grid_constants: bool,
    /// Leaves `..Default::default()` something to fill in.
    pub rest: (),
}

/// What it would make.
#[derive(Clone, Debug)]
pub enum PlironArtifact {
    /// A module for NVIDIA's driver.
    NvptxCode(NvptxModule),
}

/// A module in PTX.
#[derive(Clone, Debug)]
pub struct NvptxModule {
    /// Its text, ending with a zero.
    pub ptx: Vec<c_char>,
    /// The same before it was lowered.
    pub ir: String,
    /// Bytes of shared memory that a launch needs.
    pub shared_memory_size: usize,
    /// How each buffer is used.
    pub io: Vec<BufferIOAttr>,
}

/// The part for NVIDIA.
pub mod nvptx {
    /// Versions of PTX.
    pub mod ptx_version {
        use std::fmt;

        /// A version of PTX.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct PtxVersion(());

        impl PtxVersion {
            /// None: nothing here writes PTX.
            pub fn for_driver(_driver: i32) -> Option<Self> {
                None
            }
        }

        impl fmt::Display for PtxVersion {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("none")
            }
        }
    }
}

/// The part for every target.
pub mod shared {
    /// What of a device the code generator can use.
    pub mod lowered_features {
        use cubecl_core::ir::DeviceProperties;

        /// A target of the code generator.
        #[derive(Clone, Copy, Debug)]
        pub enum GpuTarget {
            /// NVIDIA's PTX.
            Nvptx,
        }

        /// Leaves the device as it is: CUDA C++ has all of it.
        pub fn restrict_features(_properties: &mut DeviceProperties, _target: GpuTarget) {}
    }
}
