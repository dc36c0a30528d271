//! Properties of the reader of rows: every line is accounted for, and no bytes get past it without rows or a sentence.

#![cfg(not(target_family = "wasm"))]

use duia::data::csv::Rows;
use duia::data::own;
use duia::data::schema::Schema;
use duia::data::{DataError, Source, WINDOW_END, WINDOW_START};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// A line that is a row, or blank; few ids and few seconds, so that repetitions are common.
fn line() -> impl Strategy<Value = String> {
    let time = prop_oneof![
        6 => (0i64..40).prop_map(|n| WINDOW_START + n),
        1 => (0i64..40).prop_map(|n| WINDOW_END + n),
        1 => (0i64..40).prop_map(|n| (WINDOW_START + n) * 1_000 + 7),
        1 => any::<i64>(),
    ];
    let id = prop_oneof![6 => 0u64..4, 1 => any::<u64>()];
    let row = (id.clone(), id, 0u64..3, select(vec!["pv", "cart", "fav", "buy"]), time, select(vec![",", ", ", "\t,"])).prop_map(
        |(user, item, category, behaviour, time, between)| {
            [user.to_string(), item.to_string(), category.to_string(), behaviour.into(), time.to_string()].join(between)
        },
    );
    prop_oneof![8 => row, 1 => select(vec!["", " ", "\t "]).prop_map(String::from)]
}

/// Rows that were refused, and an error where there was too little left to learn from.
fn counted(text: &[u8]) -> Result<(u64, u64), DataError> {
    let rows = Rows::read(text, "rows.csv")?;
    Ok((rows.rows(), rows.refused().iter().map(|(_, rows)| rows).sum()))
}

/// Whether nothing is left, or too little: whoever said the columns may have taken one for another.
fn is_no_row_left(error: &DataError) -> bool {
    matches!(error, DataError::TooLittle { .. })
        || matches!(error, DataError::Columns { problem, .. } if problem.starts_with(" has no row left"))
}

/// A line of somebody's own file, mostly a row.
fn own_line() -> impl Strategy<Value = String> {
    let user = prop_oneof![4 => select(vec!["7", "007", "anna", "ben", "\"o,tto\""]), 1 => Just("")];
    let time = select(vec!["1511544070", "1511544070123", "2017-11-25 01:21:10", "2017-11-25T01:21:10+08:00", "noon", "12"]);
    let word = select(vec!["view", "click", "add_to_cart", "purchase", "sell"]);
    let row = (user, select(vec!["a", "b", "3"]), word, time).prop_map(|(user, item, word, time)| [time, word, item, user].join(";"));
    prop_oneof![8 => row, 1 => Just("1;2".to_owned()), 1 => Just(String::new())]
}

proptest! {
    #[test]
    fn rows_of_an_own_file_are_accepted_or_refused_by_reason(lines in vec(own_line(), 0..60)) {
        let text = format!("ts;what;item;who\n{}", lines.join("\n"));
        let columns = "user=who,item=item,behavior=what,time=ts".parse().unwrap();
        let schema = Schema { delimiter: ';', header: true, columns, behaviors: Default::default() };
        let given = lines.iter().filter(|line| !line.is_empty()).count() as u64;
        match own::read(text.as_bytes(), "own.csv", &schema, &mut |_| {}) {
            Ok(rows) => prop_assert_eq!(rows.rows() + rows.refused().iter().map(|(_, rows)| rows).sum::<u64>(), given),
            Err(error) => prop_assert!(is_no_row_left(&error), "{}", error),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn rows_accepted_and_rows_refused_are_the_lines(
        lines in vec(line(), 0..80),
        ending in select(vec!["\n", "\r\n"]),
        header in any::<bool>(),
        is_ended in any::<bool>(),
    ) {
        let header = header.then(|| "user_id,item_id,category_id,behavior_type,timestamp".to_owned());
        let mut text = header.into_iter().chain(lines.iter().cloned()).collect::<Vec<_>>().join(ending);
        if is_ended {
            text.push_str(ending);
        }
        let given = lines.iter().filter(|line| !line.trim().is_empty()).count() as u64;
        match counted(text.as_bytes()) {
            Ok((accepted, refused)) => prop_assert_eq!(accepted + refused, given),
            Err(error) => prop_assert!(matches!(error, DataError::TooLittle { .. }), "{}", error),
        }
    }

    /// Nothing that the reader changes or leaves out is silent: without a note and a refusal the rows are the lines as they stand.
    #[test]
    fn a_file_without_a_note_is_read_as_it_stands(lines in vec(line(), 2..40)) {
        let text = lines.join("\n");
        let Ok(rows) = Rows::read(text.as_bytes(), "rows.csv") else { return Ok(()) };
        if rows.notes().is_empty() && rows.refused().is_empty() {
            let times: Vec<i64> = lines.iter().map(|line| line.rsplit(',').next().unwrap().parse().unwrap()).collect();
            prop_assert_eq!(std::sync::Arc::new(rows).events().map(|event| event.time).collect::<Vec<_>>(), times);
        }
    }

    #[test]
    fn any_bytes_are_rows_or_a_sentence(bytes in vec(any::<u8>(), 0..300), lines in vec(line(), 0..6), at in any::<prop::sample::Index>()) {
        let mut text = lines.join("\n").into_bytes();
        let at = at.index(text.len() + 1);
        text.splice(at..at, bytes);
        match counted(&text) {
            Ok((accepted, refused)) => prop_assert!(accepted + refused <= text.split(|&byte| byte == b'\n').count() as u64),
            Err(error) => {
                let said = error.to_string();
                prop_assert!(said.starts_with("rows.csv") && said.contains(". "), "{}", said);
            }
        }
    }
}
