//! The libraries that are linked into the programs, with their licences: most want to be named with the text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::tree::sorted;
use crate::process::output;
use crate::top;

/// Names of files that hold licences begin so.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"];

/// A list of the libraries of these crates, then every text once, with those it is for.
pub(super) fn of_libraries(programs: &[&str]) -> Result<String, String> {
    let metadata = metadata()?;
    let mut page = String::from("Libraries that are linked into the programs of this package.\n\n");
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for id in linked(&metadata, programs) {
        let Some(package) = of_id(list(&metadata, "packages"), &id) else { continue };
        // Ours have no registry: the package's copyright file speaks of them.
        if package.get("source").is_none_or(Value::is_null) {
            continue;
        }
        let (name, version) = (text(package, "name"), text(package, "version"));
        let licence = text(package, "license");
        let _ = writeln!(page, "{name} {version}: {licence}");
        let manifest = PathBuf::from(text(package, "manifest_path"));
        for licence in files(manifest.parent().unwrap_or(&manifest))? {
            texts.entry(licence).or_default().insert(format!("{name} {version}"));
        }
    }
    for (licence, names) in texts {
        let names: Vec<String> = names.into_iter().collect();
        let _ = write!(
            page,
            "\n{}\nFor {}:\n\n{}\n",
            "-".repeat(72),
            names.join(", "),
            licence.trim_end()
        );
    }
    Ok(page)
}

/// The texts of the licences in a library's folder, and one below: C sources have a folder of their own.
fn files(folder: &Path) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for path in sorted(folder)? {
        let inside = if path.is_dir() { sorted(&path)? } else { vec![path] };
        for file in inside {
            let name = file.file_name().unwrap_or_default().to_string_lossy().to_ascii_uppercase();
            if file.is_file() && NAMES.iter().any(|start| name.starts_with(start)) {
                let bytes =
                    std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
                found.push(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
    }
    Ok(found)
}

/// What cargo knows of all packages for this machine.
fn metadata() -> Result<Value, String> {
    let rustc = output(Command::new("rustc").arg("-vV"))?;
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let mut asked = Command::new(env!("CARGO"));
    asked.current_dir(top()).args(["metadata", "--format-version", "1", "--locked"]);
    let told = output(asked.args(["--filter-platform", host]))?;
    serde_json::from_str(&told).map_err(|error| format!("cargo metadata: {error}"))
}

/// The ids of everything that becomes part of these crates: not what only builds or tests them.
fn linked(metadata: &Value, programs: &[&str]) -> BTreeSet<String> {
    let nodes = metadata.get("resolve").map_or(&[][..], |resolve| list(resolve, "nodes"));
    let packages = list(metadata, "packages").iter();
    let ours = packages.filter(|each| programs.contains(&text(each, "name")));
    let mut waiting: Vec<String> = ours.map(|each| text(each, "id").to_owned()).collect();
    let mut found = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        let node = of_id(nodes, &id);
        if !found.insert(id) {
            continue;
        }
        for used in node.map_or(&[][..], |node| list(node, "deps")) {
            let normal = |kind: &Value| kind.get("kind").is_none_or(Value::is_null);
            if list(used, "dep_kinds").iter().any(normal) {
                waiting.push(text(used, "pkg").to_owned());
            }
        }
    }
    found
}

fn of_id<'v>(values: &'v [Value], id: &str) -> Option<&'v Value> {
    values.iter().find(|value| text(value, "id") == id)
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_builds_or_tests_is_not_linked() {
        let metadata: Value = serde_json::from_str(
            r#"{"packages": [{"name": "ours", "id": "1"}],
                "resolve": {"nodes": [
                    {"id": "1", "deps": [
                        {"pkg": "2", "dep_kinds": [{"kind": null}, {"kind": "dev"}]},
                        {"pkg": "3", "dep_kinds": [{"kind": "build"}]}]},
                    {"id": "2", "deps": [{"pkg": "4", "dep_kinds": [{"kind": null}]}]}]}}"#,
        )
        .unwrap();
        let ids: Vec<String> = linked(&metadata, &["ours"]).into_iter().collect();
        assert_eq!(ids, ["1", "2", "4"]);
    }
}
