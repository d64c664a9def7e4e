//! `cargo xtask deb`: the Debian package. What is installed where is in [`tree`], what dpkg is told in
//! `ops/debian`. The same commit in the same folder with the same tools gives the same bytes.

mod control;
mod licences;
mod tree;

use std::path::PathBuf;
use std::process::Command;

use crate::process::{empty_folder, output, read, remove_folder};
use crate::{Outcome, target, top};

/// How the programs are compiled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Profile {
    Dev,
    Release,
}

impl Profile {
    pub(crate) fn parse(word: &str) -> Result<Self, String> {
        match word {
            "dev" => Ok(Self::Dev),
            "release" => Ok(Self::Release),
            _ => Err(format!("no such profile: {word}; there are release and dev")),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }

    /// Where cargo puts programs of this profile.
    fn folder(self) -> PathBuf {
        target().join(match self {
            Self::Dev => "debug",
            Self::Release => "release",
        })
    }
}

/// How small the package is made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Compression {
    Xz,
    /// For packages that are thrown away.
    None,
}

/// What makes one package differ from another of the same commit.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) profile: Profile,
    pub(crate) version: String,
    /// Seconds since 1970 that every file in the package is dated with.
    pub(crate) epoch: u64,
    /// The settings that a first installation begins with.
    pub(crate) settings: String,
    pub(crate) compression: Compression,
    pub(crate) out: PathBuf,
}

impl Recipe {
    /// The package of the commit that is checked out.
    pub(crate) fn of_commit(profile: Profile, out: PathBuf) -> Result<Self, String> {
        let epoch = epoch()?;
        let settings = read(&top().join("config/entracte.toml"))?;
        let compression = Compression::Xz;
        Ok(Self { profile, version: version()?, epoch, settings, compression, out })
    }
}

pub(crate) fn run(words: &[String]) -> Outcome {
    let mut profile = Profile::Release;
    let mut out = target().join("debian");
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match (word.as_str(), words.next()) {
            ("--profile", Some(value)) => profile = Profile::parse(value)?,
            // From where the command was typed, which is not always the top.
            ("--out", Some(value)) => {
                out = std::path::absolute(value).map_err(|error| format!("{value}: {error}"))?;
            }
            _ => {
                return Err(
                    format!("what is {word}? [--profile release|dev] [--out FOLDER]").into()
                );
            }
        }
    }
    let recipe = Recipe::of_commit(profile, out)?;
    compile(profile)?;
    println!("{}", pack(&recipe)?.display());
    Ok(())
}

/// Builds the programs that the package holds.
pub(crate) fn compile(profile: Profile) -> Result<(), String> {
    let packages = tree::PROGRAMS.iter().flat_map(|name| ["--package", name]);
    let status = Command::new(env!("CARGO"))
        .current_dir(top())
        .args(["build", "--quiet", "--locked", "--profile", profile.name()])
        .args(packages)
        .status()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("the programs do not compile".to_owned()) }
}

/// Makes the package from programs that are compiled; answers its path.
pub(crate) fn pack(recipe: &Recipe) -> Result<PathBuf, String> {
    // Two may be made at one time.
    let work = target().join(format!("debian-work-{}", std::process::id()));
    empty_folder(&work)?;
    let tree = tree::assemble(recipe, &work.join("tree"))?;
    let name = control::write_all(recipe, &tree, &work)?;
    tree::set_modes(&tree)?;
    std::fs::create_dir_all(&recipe.out)
        .map_err(|error| format!("{}: {error}", recipe.out.display()))?;
    let file = recipe.out.join(name);
    let compression = match recipe.compression {
        Compression::Xz => "-Zxz",
        Compression::None => "-Znone",
    };
    // One thread, since xz cuts its blocks otherwise by how many there are.
    let mut dpkg = Command::new("dpkg-deb");
    dpkg.args(["--root-owner-group", compression, "--threads-max=1", "--build"]);
    output(dpkg.arg(&tree).arg(&file).env("SOURCE_DATE_EPOCH", recipe.epoch.to_string()))?;
    remove_folder(&work)?;
    Ok(file)
}

/// When the commit was made, unless the environment says otherwise.
fn epoch() -> Result<u64, String> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => git(&["log", "-1", "--format=%ct"])
            .map_err(|why| format!("{why}\nwithout git, set SOURCE_DATE_EPOCH"))?,
    };
    text.trim().parse().map_err(|_| format!("SOURCE_DATE_EPOCH is no number: {text}"))
}

/// The workspace's version; between releases with the commit behind it, so that a later one is higher.
fn version() -> Result<String, String> {
    let version = workspace_version(&read(&top().join("Cargo.toml"))?)
        .ok_or_else(|| "Cargo.toml names no version".to_owned())?;
    let released = git(&["tag", "--points-at", "HEAD"])
        .is_ok_and(|tags| tags.lines().any(|tag| tag.trim_start_matches('v') == version));
    let mut asked = Command::new("git");
    asked.args(["log", "-1", "--date=format-local:%Y%m%d%H%M%S", "--format=%cd.%h"]);
    // A tree without git is that of a release.
    match output(asked.args(["--abbrev=10"]).current_dir(top()).env("TZ", "UTC")) {
        Ok(commit) if !released => Ok(format!("{version}+git{}", commit.trim())),
        _ => Ok(version),
    }
}

fn workspace_version(manifest: &str) -> Option<String> {
    let (_, rest) = manifest.split_once("[workspace.package]")?;
    let line = rest.lines().find_map(|line| line.strip_prefix("version = "))?;
    Some(line.trim().trim_matches('"').to_owned())
}

fn git(words: &[&str]) -> Result<String, String> {
    output(Command::new("git").current_dir(top()).args(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_workspaces() {
        let manifest = "[package]\nversion = \"9\"\n[workspace.package]\nedition = \"x\"\nversion = \"1.2.3\"\n";
        assert_eq!(workspace_version(manifest).as_deref(), Some("1.2.3"));
        assert_eq!(workspace_version("[package]\nversion = \"9\"\n"), None);
    }
}
