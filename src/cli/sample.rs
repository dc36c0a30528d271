//! `duia sample`: a subset of whole users for the page.

use std::path::Path;

use duia::data::{Source, sample as format};

use super::arguments::Sample;
use super::choices::DEFAULT_SAMPLE;
use super::console::reader_text;
use super::files::write_whole;
use super::input::name;
use super::refusal::Refusal;
use super::rows;
use super::text::{say, whole};

/// Writes a subset and says what it holds.
pub fn sample(arguments: &Sample) -> Result<(), Refusal> {
    let all = rows::read(&arguments.file, &arguments.form, false)?;
    let bytes = format::write(&all, arguments.users as usize, arguments.seed);
    let kept = format::read(&bytes, &name(&arguments.out))
        .map_err(|error| Refusal::file(&arguments.file, format!("its subset cannot be read back ({error})"), "Please report this"))?;
    write_whole(&arguments.out, &bytes).map_err(|error| Refusal::unwritable(&arguments.out, error))?;

    say(&format!("Read {}: {} rows of {} users.", arguments.file.display(), whole(all.rows()), whole(all.vocabulary().users.into())));
    reader_text(&all.refused(), &all.notes()).iter().for_each(|line| say(line));
    let (users, rows) = (whole(kept.vocabulary().users.into()), whole(kept.rows()));
    say(&format!("Wrote {}: {users} users, {rows} rows, {} bytes.", arguments.out.display(), whole(bytes.len() as u64)));
    if arguments.out == Path::new(DEFAULT_SAMPLE) {
        say("The page trains on it by default from now on, and says so.");
    }
    say("It holds real rows under a research licence: keep it to yourself, do not publish it.");
    Ok(())
}
