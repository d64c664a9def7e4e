//! `entracte check-config` as a person or a script runs it.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::process::Command;

/// Runs it over `text`; the exit status and what it printed, without the folder's name.
fn run(name: &str, text: &str, arguments: &[&str]) -> (i32, String) {
    let folder = std::env::temp_dir().join(format!("entracte-check-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("x.toml"), text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_entracte"))
        .current_dir(&folder)
        .args(["check-config", "x.toml"])
        .args(arguments)
        .output()
        .unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_good_file_ends_with_0() {
    assert_eq!(run("good", "log.level = 'warn'", &[]), (0, "x.toml: good\n".to_owned()));
}

#[test]
fn a_bad_file_ends_with_2_and_every_fault() {
    let said = "x.toml:1:5: log.levle: unknown key; did you mean log.level?\n\
                x.toml:2:18: engine.threads: -1 is not allowed; allowed: 0 to 64\n\
                x.toml: 2 faults\n";
    assert_eq!(run("bad", "log.levle = 'warn'\nengine.threads = -1", &[]), (2, said.to_owned()));
}

#[test]
fn json_says_the_same_to_programs() {
    let (status, text) = run("json", "\n  log.levle = 'warn'", &["--json"]);
    let said: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status, 2);
    assert_eq!(said["ok"], false);
    let fault = &said["faults"][0];
    assert_eq!((&fault["line"], &fault["column"]), (&2.into(), &7.into()));
    assert_eq!((&fault["key"], &fault["meant"]), (&"log.levle".into(), &"log.level".into()));
}

#[test]
fn a_wrong_command_line_ends_with_2_and_help_with_0() {
    let status = |arguments: &[&str]| {
        let program = env!("CARGO_BIN_EXE_entracte");
        Command::new(program).args(arguments).output().unwrap().status.code().unwrap()
    };
    assert_eq!(status(&["no-such-verb"]), 2);
    assert_eq!(status(&["check-config"]), 2);
    assert_eq!(status(&["--help"]), 0);
    assert_eq!(status(&["--version"]), 0);
}
