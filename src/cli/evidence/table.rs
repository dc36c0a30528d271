//! Tables and figures on their way to a person (Markdown), to a paper (LaTeX) and to other programs (CSV).

use std::fmt::Write;

/// One table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name in `report.csv` and its label in `report.tex`.
    pub id: String,
    pub title: String,
    /// What a reader must know to read it.
    pub notes: String,
    pub header: Vec<String>,
    pub rows: Vec<Row>,
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// One text a column.
    Cells(Vec<String>),
    /// A line across, and what the rows below it are.
    Rule(String),
}

/// A figure in `report.csv`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    pub table: String,
    pub row: String,
    pub group: String,
    pub metric: String,
    /// A seed, `mean`, or `paper`.
    pub seed: String,
    pub value: f64,
    pub sd: Option<f64>,
    pub standard_error: Option<f64>,
    /// Runs that the figure is of.
    pub n: usize,
}

/// The table in Markdown.
pub fn markdown(table: &Table) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.iter().map(|cell| cell.replace('|', "\\|")).collect::<Vec<_>>().join(" | "));
    let mut text = format!("## {}\n\n{}\n\n", table.title, table.notes);
    text += &line(&table.header);
    let columns: Vec<String> = (0..table.header.len()).map(|column| if column == 0 { "---" } else { "---:" }.into()).collect();
    text += &line(&columns);
    for row in &table.rows {
        text += &match row {
            Row::Cells(cells) => line(cells),
            Row::Rule(name) => {
                let mut cells = vec![String::new(); table.header.len()];
                cells[0] = format!("**{name}**");
                line(&cells)
            }
        };
    }
    text
}

/// The table for LaTeX with the package `booktabs`.
pub fn latex(table: &Table) -> String {
    let columns = table.header.len();
    let line = |cells: &[String]| format!("{} \\\\\n", cells.iter().map(|cell| escaped(cell)).collect::<Vec<_>>().join(" & "));
    let mut text =
        format!("\\begin{{table}}\n\\centering\n\\footnotesize\n\\caption{{{}. {}}}\n", escaped(&table.title), escaped(&table.notes));
    let _ = writeln!(text, "\\label{{tab:{}}}\n\\begin{{tabular}}{{l{}}}\n\\toprule", table.id, "r".repeat(columns.saturating_sub(1)));
    text += &line(&table.header);
    text += "\\midrule\n";
    for row in &table.rows {
        match row {
            Row::Cells(cells) => text += &line(cells),
            Row::Rule(name) => {
                let _ = writeln!(text, "\\midrule\n\\multicolumn{{{columns}}}{{l}}{{\\emph{{{}}}}} \\\\", escaped(name));
            }
        }
    }
    text + "\\bottomrule\n\\end{tabular}\n\\end{table}\n"
}

/// Text as LaTeX reads it.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => out.extend(['\\', character]),
            '\\' => out += "\\textbackslash{}",
            '~' => out += "\\textasciitilde{}",
            '^' => out += "\\textasciicircum{}",
            '±' => out += "$\\pm$",
            '−' => out += "$-$",
            '²' => out += "$^2$",
            '–' => out += "--",
            _ => out.push(character),
        }
    }
    out
}

/// `report.csv`: `table,row,group,metric,seed,value,sd,se,n`. What does not exist is empty.
pub fn csv(facts: &[Fact]) -> Result<String, csv::Error> {
    let number = |value: Option<f64>| value.filter(|value| value.is_finite()).map(|value| value.to_string()).unwrap_or_default();
    let mut file = csv::Writer::from_writer(Vec::new());
    file.write_record(["table", "row", "group", "metric", "seed", "value", "sd", "se", "n"])?;
    for Fact { table, row, group, metric, seed, value, sd, standard_error, n } in facts {
        let [value, sd, error] = [Some(*value), *sd, *standard_error].map(number);
        file.write_record([table, row, group, metric, seed, &value, &sd, &error, &n.to_string()])?;
    }
    let bytes = file.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Table {
        Table {
            id: "table-4-u1".into(),
            title: "AUC".into(),
            notes: "Mean ± 95 %.".into(),
            header: vec!["model".into(), "a & b".into()],
            rows: vec![
                Row::Cells(vec!["DUIA u+i".into(), "+0.0044 ± 0.0010".into()]),
                Row::Rule("sanity".into()),
                Row::Cells(vec!["PLE|wide".into(), "–".into()]),
            ],
        }
    }

    #[test]
    fn a_table_is_whole_in_markdown() {
        let expected = "## AUC\n\nMean ± 95 %.\n\n| model | a & b |\n| --- | ---: |\n| DUIA u+i | +0.0044 ± 0.0010 |\n\
                        | **sanity** |  |\n| PLE\\|wide | – |\n";
        assert_eq!(markdown(&example()), expected);
    }

    #[test]
    fn a_table_is_whole_in_latex() {
        let expected = "\\begin{table}\n\\centering\n\\footnotesize\n\\caption{AUC. Mean $\\pm$ 95 \\%.}\n\\label{tab:table-4-u1}\n\
                        \\begin{tabular}{lr}\n\\toprule\nmodel & a \\& b \\\\\n\\midrule\nDUIA u+i & +0.0044 $\\pm$ 0.0010 \\\\\n\
                        \\midrule\n\\multicolumn{2}{l}{\\emph{sanity}} \\\\\nPLE|wide & -- \\\\\n\
                        \\bottomrule\n\\end{tabular}\n\\end{table}\n";
        assert_eq!(latex(&example()), expected);
    }

    #[test]
    fn a_figure_is_a_line_of_csv() {
        let fact = Fact {
            table: "table-4-u1".into(),
            row: "PLE, wider".into(),
            group: "low".into(),
            metric: "lift".into(),
            seed: "mean".into(),
            value: 0.5,
            sd: Some(f64::NAN),
            standard_error: Some(0.25),
            n: 3,
        };
        let expected = "table,row,group,metric,seed,value,sd,se,n\ntable-4-u1,\"PLE, wider\",low,lift,mean,0.5,,0.25,3\n";
        assert_eq!(csv(&[fact]).unwrap(), expected);
    }
}
