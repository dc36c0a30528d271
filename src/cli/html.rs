//! `report.html`: a run for people, in one file that asks nobody for anything: tables, charts, configuration.

use std::fmt::Write;

use duia::config::Config;
use serde_json::Value;

use super::console::data_text;
use super::drawing::Undrawn;
use super::plots;
use super::record::Record;
use super::summary::{Part, parts};

/// A browser that reads it must load nothing and run nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;color:#222;background:#fff;max-width:72rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}p{max-width:50rem;white-space:pre-line}\
table{border-collapse:collapse;margin:.5rem 0 1.5rem}th,td{padding:.25rem .75rem;border-bottom:1px solid #ddd;text-align:right}\
th{white-space:pre-line}th:first-child,td:first-child{text-align:left}.charts{overflow-x:auto}.charts svg{max-width:100%;min-width:44rem;height:auto}\
.failure{border-left:4px solid #d55e00;padding-left:1rem}code{font-size:.95em}";

/// The file. `command` is the command line without the program.
pub fn page(record: &Record, config: &Config, command: &[String], seconds: f64) -> Result<String, Undrawn> {
    let name = |data: &duia::data::DataReport| data.name.clone();
    let title = format!("duia: a run on {}", record.data.as_ref().map_or_else(|| "no rows".into(), name));
    let mut html = String::new();
    write!(
        html,
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{}</title>\n<style>{STYLE}</style>\n<h1>{}</h1>\n",
        escaped(&title),
        escaped(&title)
    )?;
    let whole_command = std::iter::once("duia").chain(command.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
    writeln!(html, "<p><code>{}</code></p>", escaped(&whole_command))?;
    if let Some(failure) = &record.failure {
        writeln!(html, "<p class=\"failure\">{}\n{}\n{}</p>", escaped(&failure.what), escaped(&failure.detail), escaped(&failure.next))?;
    }
    for line in record.data.iter().flat_map(data_text) {
        writeln!(html, "<p>{}</p>", escaped(&line))?;
    }
    if let Some(device) = &record.device {
        writeln!(html, "<p>Device: {} ({}).</p>", escaped(&device.backend), escaped(&device.adapter))?;
    }
    html.push_str("<h2>Results</h2>\n");
    for part in parts(record, config, seconds) {
        match part {
            Part::Text(text) => writeln!(html, "<p>{}</p>", escaped(&text))?,
            Part::Table(table) => add_table(&mut html, &table)?,
        }
    }
    html.push_str("<h2>On the way</h2>\n");
    for (_, svg) in plots::all(record)? {
        writeln!(html, "<div class=\"charts\">{svg}</div>")?;
    }
    html.push_str("<h2>Configuration</h2>\n<table><tr><th>key</th><th>value</th></tr>\n");
    if let Value::Object(keys) = serde_json::to_value(config)? {
        for (key, value) in keys {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            writeln!(html, "<tr><td>{}</td><td>{}</td></tr>", escaped(&key), escaped(&value))?;
        }
    }
    html.push_str("</table>\n");
    Ok(html)
}

fn add_table(html: &mut String, table: &comfy_table::Table) -> std::fmt::Result {
    let add = |html: &mut String, row: &comfy_table::Row, cell: &str| {
        let cells: String = row.cell_iter().map(|content| format!("<{cell}>{}</{cell}>", escaped(&content.content()))).collect();
        writeln!(html, "<tr>{cells}</tr>")
    };
    html.push_str("<table>\n");
    table.header().map_or(Ok(()), |row| add(html, row, "th"))?;
    table.row_iter().try_for_each(|row| add(html, row, "td"))?;
    html.push_str("</table>\n");
    Ok(())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn a_report_has_everything_and_asks_nobody() {
        let config = Config::default();
        let mut record = example::record(&config);
        record.data.as_mut().unwrap().name = "<script>alert(1)</script>.csv".into();
        let html = page(&record, &config, &["train".into(), "--set".into(), "rows=1".into()], 12.0).unwrap();
        for part in
            ["<code>duia train --set rows=1</code>", "0.8000 ± 0.0020", "<svg", "<td>learning_rate</td>", "&lt;script&gt;", "Clusters over"]
        {
            assert!(html.contains(part), "no {part}");
        }
        assert!(!html.contains("<script"));
        // The only addresses are names of formats, which nobody asks for.
        let formats = html.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "");
        for request in ["http", "src=", "href=", "url(", "@import", "<link", "<iframe", "<img"] {
            assert!(!formats.contains(request), "{request}");
        }
        for tag in ["table", "tr", "td", "th", "p", "div", "svg", "style", "title", "h2"] {
            let (opened, closed) = (
                html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count(),
                html.matches(&format!("</{tag}>")).count(),
            );
            assert_eq!(opened, closed, "{tag}");
        }
    }

    #[test]
    fn a_run_that_failed_at_once_has_one_too() {
        let html = page(&Record::default(), &Config::default(), &[], 0.0).unwrap();
        assert!(html.contains("Configuration") && !html.contains("NaN"));
    }
}
