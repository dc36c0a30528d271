//! Names what decides the numbers of a run: a hash of the sources that compute them and of the versions of what they use. Results
//! that `duia ablate` and `duia sweep` keep are kept under it, so that a table never mixes two programs. Also names the hashes by which a
//! replay's content security policy allows its own scripts and style.

use std::fs;
use std::hash::Hasher;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fnv::FnvHasher;
use sha2::{Digest, Sha256};

/// Sources that only show numbers.
const SHELLS: [&str; 8] = ["src/cli", "src/main.rs", "src/replay", "src/replay.rs", "src/view", "src/view.rs", "src/wire", "src/wire.rs"];

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rerun-if-changed=Cargo.lock");
    let mut files = vec![PathBuf::from("Cargo.lock")];
    collect(Path::new("src"), &mut files)?;
    files.sort();
    let mut hash = FnvHasher::default();
    for file in files {
        hash.write(file.to_string_lossy().replace('\\', "/").as_bytes());
        hash.write(&fs::read(file)?);
    }
    println!("cargo:rustc-env=DUIA_SOURCES={:016x}", hash.finish());
    println!("cargo:rerun-if-changed=assets/language.js");
    for (name, files) in [
        ("SCRIPT", &["src/replay/play.js"][..]),
        ("TRANSLATOR", &["assets/language.js", "src/replay/translate.js"]),
        ("STYLE", &["src/replay/style.css"]),
    ] {
        let mut hash = Sha256::new();
        for file in files {
            hash.update(fs::read(file)?);
        }
        println!("cargo:rustc-env=DUIA_REPLAY_{name}=sha256-{}", STANDARD.encode(hash.finalize()));
    }
    Ok(())
}

/// Every file below a folder that is not a shell's.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if SHELLS.iter().any(|shell| path == Path::new(shell)) {
            continue;
        }
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
