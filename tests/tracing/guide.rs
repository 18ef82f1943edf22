//! The guide's table of events, on which operators build their alerts, is complete and correct.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use crate::capture::{Told, Value};

const GUIDE: &str = include_str!("../../src/guide/tracing.md");

/// A row of the table of events.
#[derive(Debug)]
struct Row {
    levels: Vec<String>,
    text: String,
    fields: Vec<String>,
}

static ROWS: LazyLock<BTreeMap<String, Row>> = LazyLock::new(|| {
    let rows = section("# Events").into_iter().map(|cells| {
        let [levels, name, text, fields] = &cells[..] else { panic!("{cells:?}") };
        let levels = levels.split(", ").map(str::to_owned).collect();
        let row = Row { levels, text: text.clone(), fields: quoted(fields) };
        (quoted(name).remove(0), row)
    });
    rows.collect()
});

static HOLDER: LazyLock<Vec<String>> = LazyLock::new(|| {
    section("# The `holder.*` fields").iter().flat_map(|cells| quoted(&cells[0])).collect()
});

/// The rows of a section's table, without its head.
fn section(title: &str) -> Vec<Vec<String>> {
    let (_, section) = GUIDE.split_once(title).unwrap();
    let section = section.split("\n# ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let cells =
        |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().into()).collect();
    rows.map(cells).collect()
}

/// The code in a cell.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[track_caller]
pub(crate) fn assert_documented(event: &Told) {
    let row = ROWS.get(event.short()).unwrap_or_else(|| panic!("not in the guide: {event:?}"));
    assert!(row.levels.contains(&event.level.to_string()), "{event:?}");
    assert_eq!(event.text, row.text);
    let is_holders = row.fields.iter().any(|field| field == "holder.*");
    for (name, value) in &event.fields {
        let is_known = *name == "path"
            || row.fields.iter().any(|field| field == name)
            || is_holders && HOLDER.iter().any(|field| field == name);
        assert!(is_known, "{name}: {event:?}");
        let is_number = matches!(value, Value::Number(_));
        let is_measured = name.ends_with("_secs") || name.ends_with("pid");
        assert_eq!(is_number, is_measured || ["files", "token"].contains(name), "{name}");
    }
}

#[test]
fn each_row_is_of_an_event_that_can_happen() {
    let events = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/events");
    let files = fs::read_dir(events).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| !path.ends_with("emit.rs")); // which defines the macros
    let code: String = files.map(|file| fs::read_to_string(file).unwrap()).collect();
    assert!(ROWS.len() > 20 && HOLDER.len() > 5, "{ROWS:?} {HOLDER:?}");
    for (name, row) in &*ROWS {
        assert!(code.contains(&format!(" {name} \"{}\"", row.text)), "{name}");
    }
    // The names of all three macros end like this.
    assert_eq!(code.matches("event!(").count(), ROWS.len(), "an event is not in the table");
}
