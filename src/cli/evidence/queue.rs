//! A queue of cells that survives being killed: every finished cell is a file, written whole, and is kept on restart.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::files::write_whole;
use super::super::refusal::Refusal;
use super::cell::{Cell, Finished, Identity, id};

/// The file that says which command a folder belongs to.
const OWNER: &str = "command.txt";

const CELLS: &str = "cells";

/// The folder of a queue.
#[derive(Debug)]
pub struct Queue {
    path: PathBuf,
}

/// A finished cell.
#[derive(Debug)]
pub struct Done {
    /// Its place in the queue.
    pub place: usize,
    pub cell: Cell,
    pub result: Finished,
}

impl Queue {
    /// Opens a folder that is new, empty, or of the same command.
    pub fn open(path: &Path, command: &str) -> Result<Self, Refusal> {
        let unwritable = |error| Refusal::unwritable(path, error);
        fs::create_dir_all(path).map_err(unwritable)?;
        let is_empty = fs::read_dir(path).map_err(unwritable)?.next().is_none();
        match fs::read_to_string(path.join(OWNER)) {
            Ok(owner) if owner.trim() == command => {}
            Ok(owner) => return Err(Refusal::unwritable(path, format!("it holds what `duia {}` found", owner.trim()))),
            Err(_) if !is_empty => return Err(Refusal::unwritable(path, format!("it holds files that `duia {command}` did not write"))),
            Err(_) => write_whole(&path.join(OWNER), format!("{command}\n").as_bytes()).map_err(unwritable)?,
        }
        fs::create_dir_all(path.join(CELLS)).map_err(unwritable)?;
        Ok(Self { path: path.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file into it.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Refusal> {
        let path = self.path.join(name);
        write_whole(&path, bytes).map_err(|error| Refusal::unwritable(&path, error))
    }

    /// Removes the folder, and `runs` where it was the only one there, if no cell was ever finished in it.
    pub fn discard_if_empty(&self) {
        // A folder that holds something stays.
        if fs::remove_dir(self.path.join(CELLS)).is_ok() {
            let _ = fs::remove_file(self.path.join(OWNER));
            let _ = fs::remove_dir(&self.path);
            let _ = self.path.parent().filter(|parent| *parent == Path::new("runs")).map(fs::remove_dir);
        }
    }

    /// Works through the cells, one after the other, and hands all that is there to `after` each time one is finished.
    /// A run that fails on its way is told and left out, so that the others still come; one that cannot even begin
    /// stops the queue, as do results that cannot be written.
    ///
    /// Returns the finished cells and how many failed.
    pub fn work(
        &self,
        cells: &[Cell],
        data: &Identity,
        mut compute: impl FnMut(usize, &Cell, &str) -> Result<Finished, Refusal>,
        mut tell: impl FnMut(&str),
        mut after: impl FnMut(&[Done]) -> Result<(), Refusal>,
    ) -> Result<(Vec<Done>, usize), Refusal> {
        let (mut done, mut failed) = (Vec::new(), 0);
        let mut open = Vec::new();
        for (place, cell) in cells.iter().enumerate() {
            let id = id(&cell.config, data)?;
            match self.kept(&id, &mut tell) {
                Some(result) => done.push(Done { place, cell: cell.clone(), result }),
                None => open.push((place, cell, id)),
            }
        }
        if !done.is_empty() {
            tell(&format!("Kept {} of {} cells in {}.", done.len(), cells.len(), self.path.display()));
            after(&done)?;
        }
        for (place, cell, id) in open {
            match compute(place, cell, &id) {
                Ok(result) => {
                    let result = self.keep(&id, &result)?;
                    done.push(Done { place, cell: cell.clone(), result });
                    done.sort_by_key(|finished: &Done| finished.place);
                    after(&done)?;
                }
                Err(refusal @ Refusal::Run { begun: true, .. }) => {
                    failed += 1;
                    tell(&refusal.to_string());
                }
                Err(refusal) => return Err(refusal),
            }
        }
        Ok((done, failed))
    }

    /// A cell that was finished before. A file that is damaged is told, and counts as none.
    fn kept(&self, id: &str, tell: &mut impl FnMut(&str)) -> Option<Finished> {
        let bytes = fs::read(self.file(id)).ok()?;
        Finished::from_json(&bytes, id)
            .inspect_err(|why| tell(&format!("{} cannot be used: {why}. It is computed again.", self.file(id).display())))
            .ok()
    }

    /// Writes a cell and reads it back, so that a report says the same now and after a restart.
    fn keep(&self, id: &str, result: &Finished) -> Result<Finished, Refusal> {
        let path = self.file(id);
        let damaged = |error: String| Refusal::file(&path, error, "Please report this");
        let bytes = result.to_json().map_err(|error| damaged(error.to_string()))?;
        let result = Finished::from_json(&bytes, id).map_err(damaged)?;
        write_whole(&path, &bytes).map_err(|error| Refusal::unwritable(&path, error))?;
        Ok(result)
    }

    fn file(&self, id: &str) -> PathBuf {
        self.path.join(CELLS).join(format!("{id}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::example;
    use super::*;
    use duia::config::Config;
    use duia::wire::Failure;

    fn cells() -> Vec<Cell> {
        (7..10).map(|seed| Cell { value: None, config: Config { seed, ..Config::default() } }).collect()
    }

    fn failure(begun: bool) -> Refusal {
        let failure = Failure { what: "Training ran away".into(), detail: "step 3".into(), next: "Start again".into() };
        Refusal::Run { failure, begun }
    }

    type Outcome = Result<(Vec<Done>, usize), Refusal>;

    /// Works with a run that fails at a seed, having begun or not; returns the seeds that computed, what was told and the
    /// outcome.
    fn work(queue: &Queue, cells: &[Cell], stop_at: Option<(u64, bool)>) -> (Vec<u64>, Vec<String>, Outcome) {
        let (mut computed, mut told) = (Vec::new(), Vec::new());
        let compute = |_: usize, cell: &Cell, id: &str| {
            if let Some((_, begun)) = stop_at.filter(|(seed, _)| *seed == cell.config.seed) {
                return Err(failure(begun));
            }
            computed.push(cell.config.seed);
            Ok(Finished::of(example::record(&cell.config), &cell.config, id.into(), "duia ablate", 1.0).unwrap())
        };
        let outcome = queue.work(cells, &Identity::synthetic(), compute, |line| told.push(line.into()), |_| Ok(()));
        (computed, told, outcome)
    }

    fn count(outcome: Outcome) -> (usize, usize) {
        outcome.map(|(done, failed)| (done.len(), failed)).unwrap()
    }

    #[test]
    fn finished_cells_are_kept_and_the_rest_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Queue::open(&folder.path().join("out"), "ablate").unwrap();
        let (computed, _, outcome) = work(&queue, &cells(), Some((8, false)));
        assert!(computed == [7] && outcome.is_err());

        let queue = Queue::open(queue.path(), "ablate").unwrap();
        let (computed, told, outcome) = work(&queue, &cells(), None);
        assert_eq!((computed, count(outcome)), (vec![8, 9], (3, 0)));
        assert!(told[0].starts_with("Kept 1 of 3 cells"), "{told:?}");

        let other: Vec<Cell> = cells().into_iter().map(|cell| Cell { config: Config { rho: 0.125, ..cell.config }, ..cell }).collect();
        assert_eq!(work(&queue, &other, None).0, [7, 8, 9]);
        assert_eq!(work(&queue, &cells(), None).0, [0; 0]);
    }

    #[test]
    fn a_damaged_cell_is_said_and_computed_again() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Queue::open(folder.path(), "ablate").unwrap();
        work(&queue, &cells(), None).2.unwrap();
        let file = queue.file(&id(&cells()[1].config, &Identity::synthetic()).unwrap());
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..100]).unwrap();
        let (computed, told, outcome) = work(&queue, &cells(), None);
        assert_eq!((computed, count(outcome)), (vec![8], (3, 0)));
        assert!(told[0].contains("cannot be used") && told[0].contains("computed again"), "{told:?}");
        assert_eq!(fs::read(&file).unwrap(), bytes);
    }

    #[test]
    fn a_run_that_fails_on_its_way_does_not_stop_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Queue::open(folder.path(), "ablate").unwrap();
        let (computed, told, outcome) = work(&queue, &cells(), Some((8, true)));
        assert_eq!((computed, count(outcome)), (vec![7, 9], (2, 1)));
        assert!(told.iter().any(|line| line.contains("Training ran away")));
    }

    #[test]
    fn a_folder_of_another_command_is_left_alone_and_an_empty_one_goes() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let queue = Queue::open(&out, "sweep width").unwrap();
        assert!(Queue::open(&out, "ablate").unwrap_err().to_string().contains("what `duia sweep width` found"));
        queue.discard_if_empty();
        assert!(!out.exists());
        fs::create_dir(&out).unwrap();
        fs::write(out.join("notes.txt"), "mine").unwrap();
        assert!(Queue::open(&out, "ablate").unwrap_err().to_string().contains("did not write"));
    }
}
