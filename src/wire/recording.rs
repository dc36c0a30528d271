//! A recorded run: what its trainer told, in few enough bytes that a page can show it before its own trainer has come.
//!
//! A file is, in this order: 8 bytes `DUIATAPE`; 1 byte, the version of the format; 8 bytes, the FNV-1a hash of what follows
//! (little-endian); a [`Recording`] by postcard.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Event;
use crate::config::Config;
use crate::data::sample::fnv;
use crate::view::FieldFrame;

const MAGIC: &[u8; 8] = b"DUIATAPE";
const VERSION: u8 = 1;
const HEAD: usize = MAGIC.len() + 1 + 8;
/// Steps of a coordinate of the field in a unit: a pixel of a large screen, and as a float it packs well.
const GRID: f32 = 512.0;

/// A run as it was told, and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// The day, as `2026-11-26`.
    pub made: String,
    /// The version of the sources, as Git names it.
    pub commit: String,
    /// The command that made it.
    pub command: String,
    /// What was trained.
    pub config: Config,
    /// Steps of the run.
    pub steps: u64,
    /// The step after which each event was told, and the event.
    pub events: Vec<(u64, Event)>,
}

/// Why a file is no recording.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecordingError {
    /// Another kind of file, or the beginning of one.
    #[error("it does not begin as a recorded run does ({0} bytes)")]
    Stranger(usize),
    /// Of another program.
    #[error("it is of version {0} of the format and this program reads version {VERSION}: make it again with `duia record`")]
    Version(u8),
    /// Cut or changed on the way.
    #[error("it arrived cut or changed: its checksum is not that of its {0} bytes")]
    Damaged(usize),
    /// Whole, and of a build whose events have other fields.
    #[error("its events are of another build: make it again with `duia record` ({0})")]
    OtherBuild(postcard::Error),
}

impl Recording {
    /// As the bytes of a file.
    ///
    /// # Errors
    /// Where the value cannot be encoded, which its types rule out.
    pub fn to_bytes(&self) -> Result<Vec<u8>, postcard::Error> {
        let payload = postcard::to_stdvec(self)?;
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        bytes.extend(fnv(&payload).to_le_bytes());
        bytes.extend(payload);
        Ok(bytes)
    }

    /// From the bytes of a file.
    ///
    /// # Errors
    /// [`RecordingError`] for anything but a whole recording of this build.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordingError> {
        let Some((head, payload)) = bytes.split_at_checked(HEAD).filter(|(head, _)| head.starts_with(MAGIC)) else {
            return Err(RecordingError::Stranger(bytes.len()));
        };
        let (version, sum) = (head[MAGIC.len()], &head[MAGIC.len() + 1..]);
        if version != VERSION {
            return Err(RecordingError::Version(version));
        }
        if sum != fnv(payload).to_le_bytes() {
            return Err(RecordingError::Damaged(bytes.len()));
        }
        postcard::from_bytes(payload).map_err(RecordingError::OtherBuild)
    }
}

/// The first `most` members of a frame, every place on a grid: what a small picture needs of it.
pub fn thinned(frame: FieldFrame, most: usize) -> FieldFrame {
    let on_grid = |mut places: Vec<f32>| {
        places.iter_mut().for_each(|place| *place = (*place * GRID).round() / GRID);
        places
    };
    fn first<T>(mut all: Vec<T>, most: usize) -> Vec<T> {
        all.truncate(most);
        all
    }
    FieldFrame {
        centre_xy: on_grid(frame.centre_xy),
        members: first(frame.members, most),
        member_xy: on_grid(first(frame.member_xy, 2 * most)),
        assigned: first(frame.assigned, 2 * most),
        low_active: first(frame.low_active, most),
        stopped: first(frame.stopped, most),
        categories: first(frame.categories, most),
        groups: first(frame.groups, most),
        ..frame
    }
}

#[cfg(all(test, not(target_family = "wasm")))]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::wire::State;

    /// The recorded run that lies beside the page.
    const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/recorded.bin");

    fn small() -> Recording {
        let events = vec![(0, Event::State(State::Playing)), (3, Event::Field(Box::new(FieldFrame { step: 3, ..FieldFrame::default() })))];
        let words = ["2026-11-26", "abcdef0", "duia record"].map(String::from);
        let [made, commit, command] = words;
        Recording { made, commit, command, config: Config::opening(), steps: 3, events }
    }

    #[test]
    fn a_recording_comes_back_as_it_was() {
        let bytes = small().to_bytes().unwrap();
        assert_eq!(Recording::from_bytes(&bytes), Ok(small()));
    }

    #[test]
    fn a_damaged_file_is_refused_with_a_reason() {
        let bytes = small().to_bytes().unwrap();
        for cut in 0..bytes.len() {
            assert!(Recording::from_bytes(&bytes[..cut]).is_err(), "{cut} bytes");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert!(Recording::from_bytes(&changed).is_err(), "byte {at}");
        }
        assert_eq!(Recording::from_bytes(b"<!doctype html>"), Err(RecordingError::Stranger(15)));
        let other = [&bytes[..8], &[9], &bytes[9..]].concat();
        assert!(Recording::from_bytes(&other).unwrap_err().to_string().contains("version 9"));
    }

    #[test]
    fn a_thinned_frame_keeps_whole_members_on_a_grid() {
        let frame = FieldFrame {
            members: vec![7, 8, 9],
            member_xy: vec![0.12345, 0.5, 0.1, 0.2, 0.3, 0.4],
            assigned: vec![1, 4, 2, 8, 3, 12],
            low_active: vec![true, false, true],
            stopped: vec![false; 3],
            categories: vec![1, 2, 3],
            centre_xy: vec![0.98765, 0.0],
            ..FieldFrame::default()
        };
        let thin = thinned(frame, 2);
        assert_eq!((thin.members, thin.assigned, thin.categories), (vec![7, 8], vec![1, 4, 2, 8], vec![1, 2]));
        assert_eq!((thin.low_active.len(), thin.stopped.len(), thin.member_xy.len()), (2, 2, 4));
        assert_eq!((thin.member_xy[0], thin.centre_xy[0]), (63.0 / 512.0, 506.0 / 512.0));
    }

    /// Remade with `make record` whenever a model's figures, a default or a message changes.
    #[test]
    fn the_shipped_recording_is_a_whole_run_of_the_page_as_it_opens() {
        let bytes = std::fs::read(SHIPPED).unwrap();
        let shipped = Recording::from_bytes(&bytes).unwrap_or_else(|why| panic!("assets/recorded.bin: {why}; run `make record`"));
        assert_eq!(shipped.config, Config::opening(), "the page's defaults have changed: run `make record`");
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&bytes).unwrap();
        let packed = packed.finish().unwrap().len();
        assert!(packed < 60 * 1024, "{packed} bytes as a host sends it");
        assert_eq!(shipped.to_bytes(), Ok(bytes));
        let told = |is: fn(&Event) -> bool| shipped.events.iter().filter(|(_, event)| is(event)).count();
        assert_eq!(told(|event| matches!(event, Event::Ready { .. })), 1);
        assert!(told(|event| matches!(event, Event::Field(_))) >= 10 && told(|event| matches!(event, Event::Portrait(_))) >= 10);
        assert!(shipped.events.is_sorted_by_key(|(step, _)| *step));
        assert_eq!(shipped.events.last().map(|(step, event)| (*step, event)), Some((shipped.steps, &Event::State(State::Finished))));
    }
}
