//! Who holds the namespaces of a clean root: for mounts, processes and the network. When the keeper ends, or this
//! program does, in whatever way, the kernel ends what runs in there and takes down what was mounted.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::Failure;
use crate::process::output;

/// Told the root and the folder for packages that were fetched. systemd wants its root to be a mount; `/proc/sys` is
/// this machine's, so it is for reading.
const PREPARE: &str = r#"
mount --rbind "$1" "$1"
mount -t proc proc "$1/proc"
mount --bind "$1/proc/sys" "$1/proc/sys"
mount -o remount,bind,ro "$1/proc/sys"
mount --bind "$2" "$1/var/cache/apt/archives"
ip link set lo up
"#;

/// A process that does nothing.
const PLAIN: &str = "echo ready\nexec sleep infinity";

/// systemd, as in a container. It sees one hierarchy of control groups, and of that what is below its own.
const SYSTEMD: &str = r#"
mount -t sysfs -o ro sysfs "$1/sys"
mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$1/run"
echo ready
exec chroot "$1" env -i container=entracte PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
"#;

/// Goes into a control group of its own before the namespaces are made, so that systemd's are all below it.
const OWN_GROUP: &str = r#"
mount -t cgroup2 cgroup2 "$1/mnt"
group="$1/mnt$(sed -n 's/^0:://p' /proc/self/cgroup)/entracte-deb-test"
mkdir -p "$group"
echo $$ >"$group/cgroup.procs"
umount "$1/mnt"
"#;

/// Removes that group. Processes that were just killed take a moment to be gone from theirs.
const SWEEP: &str = r#"
mount -t cgroup2 cgroup2 "$1/mnt"
group="$1/mnt$(sed -n 's/^0:://p' /proc/self/cgroup)/entracte-deb-test"
left=50
while [ -d "$group" ] && ! find "$group" -depth -type d -exec rmdir {} + 2>/dev/null; do
    left=$((left - 1))
    [ "$left" -gt 0 ]
    sleep 0.1
done
"#;

/// A first process in namespaces of its own.
#[derive(Debug)]
pub(super) struct Keeper {
    child: Child,
}

impl Keeper {
    /// Holds the namespaces and does nothing else.
    pub(super) fn plain(root: &Path, fetched: &Path) -> Result<Self, Failure> {
        Self::start("", &["--mount", "--pid", "--net"], PLAIN, (root, fetched))
    }

    /// Boots the systemd that is installed in the root.
    pub(super) fn systemd(root: &Path, fetched: &Path) -> Result<Self, Failure> {
        sweep(root).map_err(Failure::not_here)?;
        let spaces = ["--mount", "--pid", "--net", "--cgroup", "--uts", "--ipc"];
        Self::start(OWN_GROUP, &spaces, SYSTEMD, (root, fetched))
    }

    fn start(
        before: &str,
        spaces: &[&str],
        run: &str,
        folders: (&Path, &Path),
    ) -> Result<Self, Failure> {
        // The keeper dies with us, by whatever we die, and its namespaces with it.
        let enter = format!(
            "{before}\nexec setpriv --pdeathsig KILL unshare {} --fork --kill-child sh -ec \"$3\" sh \"$1\" \"$2\"",
            spaces.join(" ")
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", &enter, "sh"]).arg(folders.0).arg(folders.1);
        let mut child = command
            .arg(format!("{PREPARE}{run}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start unshare: {error}"))?;
        let mut line = String::new();
        if let Some(printed) = child.stdout.take() {
            let _ = BufReader::new(printed).read_line(&mut line);
        }
        if line.trim() == "ready" {
            return Ok(Self { child });
        }
        let _ = child.wait();
        Err(Failure::not_here("mounting in a namespace does not work here; what it said is above"))
    }

    /// A program that runs in there, without the network if so wished.
    pub(super) fn enter(&self, network: super::Network) -> Command {
        let spaces = format!("/proc/{}/ns", self.child.id());
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount={spaces}/mnt"));
        command.arg(format!("--pid={spaces}/pid_for_children"));
        if matches!(network, super::Network::Own) {
            command.arg(format!("--net={spaces}/net"));
        }
        command
    }

    /// Ends everything in there.
    pub(super) fn end(&mut self, root: &Path) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = sweep(root);
    }
}

/// Removes the control groups of a systemd that ran before.
fn sweep(root: &Path) -> Result<(), String> {
    let mut command = Command::new("unshare");
    output(command.args(["--mount", "sh", "-ec", SWEEP, "sh"]).arg(root)).map(drop)
}
