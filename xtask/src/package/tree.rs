//! What the package installs, and where.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Recipe, licences};
use crate::process::{output, write};
use crate::top;

/// The programs, by the names of their crates.
pub(super) const PROGRAMS: [&str; 3] = ["entracte", "speech-espeak", "speech-flite"];

/// Where they are, since the server looks for its helpers beside itself. What people type is a link to it.
pub(super) const LIBRARY: &str = "usr/lib/entracte";

/// Where the settings of a first installation are; `ops/debian/postinst` copies them.
const SETTINGS: &str = "usr/share/entracte/entracte.toml";

/// Files that are installed as they are.
const FILES: [(&str, &str); 7] = [
    ("ops/entracte.service", "usr/lib/systemd/system/entracte.service"),
    ("docs/settings.xsd", "usr/share/entracte/settings.xsd"),
    ("ops/alerts.yaml", "usr/share/doc/entracte/examples/alerts.yaml"),
    ("ops/grafana-dashboard.json", "usr/share/doc/entracte/examples/grafana-dashboard.json"),
    ("README.md", "usr/share/doc/entracte/README.md"),
    ("SECURITY.md", "usr/share/doc/entracte/SECURITY.md"),
    ("docs/operating.md", "usr/share/doc/entracte/operating.md"),
];

/// Where each shell looks for completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/entracte"),
    ("zsh", "usr/share/zsh/vendor-completions/_entracte"),
    ("fish", "usr/share/fish/vendor_completions.d/entracte.fish"),
];

/// Puts everything below `tree`, which does not exist yet; answers it.
pub(super) fn assemble(recipe: &Recipe, tree: &Path) -> Result<PathBuf, String> {
    for name in PROGRAMS {
        let program = tree.join(LIBRARY).join(name);
        write(&program, "")?;
        let mut strip = Command::new("strip");
        strip.args(["--strip-unneeded", "--remove-section=.comment", "--remove-section=.note"]);
        output(strip.arg("-o").arg(program).arg(recipe.profile.folder().join(name)))?;
    }
    let bin = tree.join("usr/bin");
    fs::create_dir_all(&bin)
        .and_then(|()| symlink("../lib/entracte/entracte", bin.join("entracte")))
        .map_err(|error| format!("{}: {error}", bin.display()))?;
    for (from, to) in FILES {
        let bytes = fs::read(top().join(from)).map_err(|error| format!("{from}: {error}"))?;
        write(&tree.join(to), bytes)?;
    }
    write(&tree.join(SETTINGS), &recipe.settings)?;
    paper(recipe, tree)?;
    let doc = tree.join("usr/share/doc/entracte");
    let third_party = doc.join("third-party-licences.txt");
    write(&third_party, licences::of_libraries(&PROGRAMS)?)?;
    compress(&third_party)?;
    Ok(tree.to_owned())
}

/// Manual pages and completions, as the program itself writes them.
fn paper(recipe: &Recipe, tree: &Path) -> Result<(), String> {
    let program = recipe.profile.folder().join("entracte");
    let pages = tree.join("usr/share/man/man1");
    output(Command::new(&program).args(["man", "--out"]).arg(&pages))?;
    for page in sorted(&pages)? {
        compress(&page)?;
    }
    for (shell, to) in COMPLETIONS {
        write(&tree.join(to), output(Command::new(&program).args(["completions", shell]))?)?;
    }
    Ok(())
}

/// Replaces a file by itself with `.gz` behind it, without name and time in it.
pub(super) fn compress(file: &Path) -> Result<(), String> {
    output(Command::new("gzip").args(["-9n"]).arg(file)).map(drop)
}

/// Folders and programs 0755, everything else 0644, whatever the umask is here.
pub(super) fn set_modes(tree: &Path) -> Result<(), String> {
    let scripts =
        ["preinst", "postinst", "prerm", "postrm"].map(|name| tree.join("DEBIAN").join(name));
    for path in everything(tree)? {
        let program = path.starts_with(tree.join(LIBRARY)) || scripts.contains(&path);
        let mode = if path.is_dir() || program { 0o755 } else { 0o644 };
        if !path.is_symlink() {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

/// The tree itself and everything below it, in the order of its paths. Links are not followed.
pub(super) fn everything(tree: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = vec![tree.to_owned()];
    for path in sorted(tree)? {
        if path.is_dir() && !path.is_symlink() {
            found.extend(everything(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

/// What is in a folder, by name.
pub(super) fn sorted(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).and_then(|entries| {
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()
    });
    let mut paths = entries.map_err(|error| format!("{}: {error}", folder.display()))?;
    paths.sort();
    Ok(paths)
}
