//! What dpkg is told of the package: `ops/debian` with its blanks filled in, the libraries it depends on, checksums.

use std::path::Path;
use std::process::Command;

use super::Recipe;
use super::tree::{LIBRARY, PROGRAMS, compress, everything};
use crate::process::{output, read, write};
use crate::top;

const SCRIPTS: [&str; 4] = ["preinst", "postinst", "prerm", "postrm"];

/// Who answers for a package whose builder does not say it by `DEBFULLNAME` and `DEBEMAIL`.
const MAINTAINER: (&str, &str) = ("The Entracte authors", "entracte@packages.invalid");

/// Writes `DEBIAN` and the papers that Debian wants into the tree; answers the package's file name.
pub(super) fn write_all(recipe: &Recipe, tree: &Path, work: &Path) -> Result<String, String> {
    let debian = top().join("ops/debian");
    let folder = tree.join("DEBIAN");
    for name in SCRIPTS {
        write(&folder.join(name), read(&debian.join(name))?)?;
    }
    papers(recipe, tree, &debian)?;
    write(&folder.join("md5sums"), checksums(tree)?)?;
    let architecture = output(Command::new("dpkg").arg("--print-architecture"))?;
    let architecture = architecture.trim();
    let blanks = [
        ("@VERSION@", recipe.version.clone()),
        ("@ARCHITECTURE@", architecture.to_owned()),
        ("@MAINTAINER@", maintainer()),
        ("@INSTALLED_SIZE@", kibibytes(tree)?.to_string()),
        ("@LIBRARIES@", libraries(tree, work)?),
    ];
    let mut text = read(&debian.join("control"))?;
    for (blank, value) in blanks {
        text = text.replace(blank, &value);
    }
    write(&folder.join("control"), text)?;
    Ok(format!("entracte_{}_{architecture}.deb", recipe.version))
}

/// The copyright, and two changelogs: ours for the operator, Debian's for dpkg's programs.
fn papers(recipe: &Recipe, tree: &Path, debian: &Path) -> Result<(), String> {
    let doc = tree.join("usr/share/doc/entracte");
    let licence = read(&top().join("LICENSE-MIT"))?;
    let copyright = read(&debian.join("copyright"))?;
    write(&doc.join("copyright"), copyright.replace("@LICENSE_MIT@", &indented(&licence)))?;
    write(&doc.join("changelog"), read(&top().join("CHANGELOG.md"))?)?;
    compress(&doc.join("changelog"))?;
    let epoch = format!("@{}", recipe.epoch);
    let date = output(Command::new("date").args(["--utc", "--rfc-email", "--date", &epoch]))?;
    let entry = format!(
        "entracte ({}) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- {}  {}\n",
        recipe.version,
        maintainer(),
        date.trim()
    );
    write(&doc.join("changelog.Debian"), entry)?;
    compress(&doc.join("changelog.Debian"))
}

/// A text as a field of a control file has it: each line behind a space, an empty one as a dot.
fn indented(text: &str) -> String {
    let line = |line: &str| {
        if line.trim().is_empty() { " .".to_owned() } else { format!(" {line}") }
    };
    text.trim().lines().map(line).collect::<Vec<_>>().join("\n")
}

fn maintainer() -> String {
    let said = |key, default: &str| std::env::var(key).unwrap_or_else(|_| default.to_owned());
    format!("{} <{}>", said("DEBFULLNAME", MAINTAINER.0), said("DEBEMAIL", MAINTAINER.1))
}

/// The packages of the libraries that the programs are linked with, with the lowest versions that do.
fn libraries(tree: &Path, work: &Path) -> Result<String, String> {
    // dpkg-shlibdeps looks for a source package in the folder it runs in.
    write(
        &work.join("debian/control"),
        "Source: entracte\n\nPackage: entracte\nArchitecture: any\n",
    )?;
    let programs = PROGRAMS.map(|name| tree.join(LIBRARY).join(name));
    let found = output(Command::new("dpkg-shlibdeps").arg("-O").args(programs).current_dir(work))?;
    let list = found.lines().find_map(|line| line.strip_prefix("shlibs:Depends="));
    list.map(str::to_owned).ok_or_else(|| format!("dpkg-shlibdeps says nothing: {found}"))
}

/// What `dpkg --verify` compares with.
fn checksums(tree: &Path) -> Result<String, String> {
    let mut asked = Command::new("md5sum");
    asked.current_dir(tree).arg("--");
    for path in everything(tree)? {
        let inside = path.strip_prefix(tree).unwrap_or(&path);
        if path.is_file() && !path.is_symlink() && !inside.starts_with("DEBIAN") {
            asked.arg(inside);
        }
    }
    output(&mut asked)
}

/// The room it takes, as dpkg estimates it: whole KiB a file, one a folder.
fn kibibytes(tree: &Path) -> Result<u64, String> {
    let mut sum = 0;
    for path in everything(tree)? {
        let file = path.is_file() && !path.is_symlink();
        sum += if file { path.metadata().map_or(0, |file| file.len().div_ceil(1_024)) } else { 1 };
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_fits_into_a_field() {
        assert_eq!(indented("a\n\n  b\n"), " a\n .\n   b");
    }

    #[test]
    fn every_blank_of_the_control_file_is_filled() {
        let text = read(&top().join("ops/debian/control")).unwrap();
        let blanks: Vec<&str> =
            text.split('@').skip(1).step_by(2).filter(|word| !word.contains(' ')).collect();
        let known = ["VERSION", "ARCHITECTURE", "MAINTAINER", "INSTALLED_SIZE", "LIBRARIES"];
        assert_eq!(blanks, known);
    }
}
