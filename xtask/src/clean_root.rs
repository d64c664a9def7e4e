//! A root folder with a bare Debian in it, to install into: made by debootstrap from the mirror that this machine's
//! apt uses, kept as an archive, unpacked anew for each use.
//!
//! Nothing is mounted where anybody else sees it, see [`keeper`]: however this program ends, only folders below
//! target/ are left, and the next run sweeps them.

mod keeper;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use keeper::Keeper;

use crate::process::{empty_folder, output, read, remove_folder, write};
use crate::{Failure, target};

/// Programs that are needed, and the packages that have them.
const NEEDED: [(&str, &str); 7] = [
    ("debootstrap", "debootstrap"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
    ("chroot", "coreutils"),
    ("ip", "iproute2"),
    ("tar", "tar"),
];

/// Which network a program in the root sees.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Network {
    /// This machine's: for apt.
    Host,
    /// One of its own, with loopback and nothing else.
    Own,
}

/// Whether a base that was made before will do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Base {
    Kept,
    Fresh,
}

/// A root that is ready to be used. Dropped, it is gone with all that runs in it.
#[derive(Debug)]
pub(crate) struct CleanRoot {
    folder: PathBuf,
    fetched: PathBuf,
    keeper: Keeper,
}

impl CleanRoot {
    /// Unpacks a root, and makes it before if need be, which takes a minute or two.
    pub(crate) fn make(base: Base) -> Result<Self, Failure> {
        let place = target().join("deb-test");
        let archive = archive(&place, base)?;
        let folder = place.join("root");
        empty_folder(&folder)?;
        let mut tar = Command::new("tar");
        tar.args(["--numeric-owner", "-xpf"]).arg(&archive).arg("-C").arg(&folder);
        output(&mut tar)?;
        let fetched = place.join("archives");
        std::fs::create_dir_all(fetched.join("partial")).map_err(|error| error.to_string())?;
        let root = Self { keeper: Keeper::plain(&folder, &fetched)?, folder, fetched };
        root.run(Network::Host, "apt-get -qq update").map_err(Failure::not_here)?;
        Ok(root)
    }

    /// A path as it is seen from outside.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.folder.join(inside.trim_start_matches('/'))
    }

    /// Runs a script of the shell in the root to its end; what it printed.
    pub(crate) fn run(&self, network: Network, script: &str) -> Result<String, String> {
        // The name of the program that enters says nothing to a reader.
        output(&mut self.command(network, script))
            .map_err(|why| why.trim_start_matches("nsenter: ").to_owned())
    }

    /// Starts a script and does not wait. Its streams go nowhere unless it says otherwise.
    pub(crate) fn start(&self, network: Network, script: &str) -> Result<Child, String> {
        self.command(network, script)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start nsenter: {error}"))
    }

    /// Boots the systemd that is installed in the root; everything that runs there is ended before.
    pub(crate) fn boot(&mut self) -> Result<(), Failure> {
        self.keeper.end(&self.folder);
        self.keeper = Keeper::systemd(&self.folder, &self.fetched)?;
        let up = "timeout 60 sh -c 'until systemctl is-active multi-user.target; do sleep 1; done'";
        self.run(Network::Own, up).map(drop).map_err(|why| {
            Failure::not_here(format!("systemd does not come up in a namespace here: {why}"))
        })
    }

    fn command(&self, network: Network, script: &str) -> Command {
        let mut command = self.keeper.enter(network);
        command.arg("chroot").arg(&self.folder).args(["sh", "-ec", script]);
        command.env_clear().envs([
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("LC_ALL", "C.UTF-8"),
            ("DEBIAN_FRONTEND", "noninteractive"),
        ]);
        command
    }
}

impl Drop for CleanRoot {
    fn drop(&mut self) {
        self.keeper.end(&self.folder);
        let _ = remove_folder(&self.folder);
    }
}

/// Whether this machine lets us: who we are, what is installed.
pub(crate) fn check_rights() -> Result<(), Failure> {
    if output(Command::new("id").arg("-u"))?.trim() != "0" {
        return Err(Failure::not_here("only root can make and enter a clean root; run it as root"));
    }
    for (program, package) in NEEDED {
        let found = output(Command::new("sh").args(["-c", &format!("command -v {program}")]));
        found.map_err(|_| {
            Failure::not_here(format!("{program} is missing: apt-get install {package}"))
        })?;
    }
    output(Command::new("unshare").args(["--mount", "--pid", "--net", "--fork", "true"])).map_err(
        |why| {
            Failure::not_here(format!(
                "this machine gives no namespaces, as within some containers: {why}"
            ))
        },
    )?;
    Ok(())
}

/// The archive of a bare root.
fn archive(place: &Path, base: Base) -> Result<PathBuf, Failure> {
    let mirror = Mirror::of_this_machine()?;
    let archive = place.join(format!("base-{}-{}.tar", mirror.codename, mirror.architecture));
    if base == Base::Kept && archive.is_file() {
        return Ok(archive);
    }
    let folder = place.join("base");
    empty_folder(&folder)?;
    // debootstrap mounts, so it has a namespace of its own, too.
    let mut command = Command::new("unshare");
    command.args(["--mount", "debootstrap", "--variant=minbase", "--include=ca-certificates"]);
    command.args(["--arch", &mirror.architecture, &mirror.codename]).arg(&folder).arg(&mirror.uri);
    output(&mut command).map_err(Failure::not_here)?;
    mirror.tell(&folder)?;
    let unfinished = archive.with_extension("unfinished");
    let mut tar = Command::new("tar");
    output(tar.args(["--numeric-owner", "-cpf"]).arg(&unfinished).arg("-C").arg(&folder).arg("."))?;
    std::fs::rename(&unfinished, &archive).map_err(|error| error.to_string())?;
    remove_folder(&folder)?;
    Ok(archive)
}

/// Where this machine's apt finds Debian.
#[derive(Debug)]
struct Mirror {
    architecture: String,
    codename: String,
    uri: String,
    /// All of its places, as lines of a sources.list.
    sources: String,
}

impl Mirror {
    fn of_this_machine() -> Result<Self, Failure> {
        let release = read(Path::new("/etc/os-release"))?;
        let codename = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
        let codename = codename.unwrap_or_default().to_owned();
        let architecture = output(Command::new("dpkg").arg("--print-architecture"))?;
        let format = "$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)";
        let mut asked = Command::new("apt-get");
        asked.args(["indextargets", "--format", format, "Created-By: Packages"]);
        let mut mirror = Self {
            architecture: architecture.trim().to_owned(),
            codename,
            uri: String::new(),
            sources: String::new(),
        };
        for line in output(&mut asked)?.lines() {
            let [origin, uri, release, component] = line.split('|').collect::<Vec<_>>()[..] else {
                continue;
            };
            if origin == "Debian" && component == "main" {
                let _ = writeln!(mirror.sources, "deb {uri} {release} main");
                if release == mirror.codename {
                    uri.clone_into(&mut mirror.uri);
                }
            }
        }
        if mirror.uri.is_empty() {
            let why = "apt has no list of a Debian mirror for this release; run apt-get update";
            return Err(Failure::not_here(why));
        }
        Ok(mirror)
    }

    /// Tells the root the same places, how names are resolved, and how apt fetches here: by a proxy, say.
    fn tell(&self, root: &Path) -> Result<(), String> {
        write(&root.join("etc/apt/sources.list"), &self.sources)?;
        for file in ["etc/resolv.conf", "etc/hosts"] {
            let _ = std::fs::copy(Path::new("/").join(file), root.join(file));
        }
        let all = output(Command::new("apt-config").args(["dump", "Acquire"]))?;
        let wanted = ["Acquire::Check-", "Acquire::http", "Acquire::https", "Acquire::ForceIPv"];
        let mut kept: Vec<&str> =
            all.lines().filter(|line| wanted.iter().any(|start| line.starts_with(start))).collect();
        kept.push("");
        write(&root.join("etc/apt/apt.conf.d/80as-outside"), kept.join("\n"))
    }
}
