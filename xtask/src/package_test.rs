//! `cargo xtask deb-test`: the Debian package in a clean root, from its first installation until it is purged.
//! A line for each check, exit status 1 at the first that fails, 2 where this machine makes no clean root.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use crate::clean_root::{Base, CleanRoot, Network, check_rights};
use crate::package::{Compression, Profile, Recipe, compile, pack};
use crate::process::{last_lines, output, read};
use crate::{Outcome, target};

const SETTINGS: &str = "/etc/entracte/entracte.toml";

/// As the unit runs the server: the service's user, and nothing that root may.
const AS_SERVICE: &str = "setpriv --reuid=entracte --regid=entracte --init-groups --no-new-privs --inh-caps=-all --bounding-set=-all";

/// Owner, group, mode and path of what matters.
const OWNERS: [&str; 10] = [
    "entracte entracte 750 /etc/entracte",
    "entracte entracte 640 /etc/entracte/entracte.toml",
    "entracte entracte 750 /var/lib/entracte",
    "root root 755 /usr/lib/entracte",
    "root root 755 /usr/lib/entracte/entracte",
    "root root 755 /usr/lib/entracte/speech-espeak",
    "root root 755 /usr/lib/entracte/speech-flite",
    "root root 644 /usr/lib/systemd/system/entracte.service",
    "root root 644 /usr/share/entracte/entracte.toml",
    "root root 644 /usr/share/man/man1/entracte.1.gz",
];

/// What the default settings of a later version have more.
const NEWS: &str = "\n# A later version explains one more thing.\n";
/// What an administrator sets, as the pages do it: the value in the place of its comment.
const EDIT: &str = "s/^#max_sessions = 32$/max_sessions = 77/";

/// How long the server may take to start and to end.
const PATIENCE: Duration = Duration::from_secs(45);
const STEP: Duration = Duration::from_millis(100);

pub(crate) fn run(words: &[String]) -> Outcome {
    let (mut profile, mut base) = (Profile::Dev, Base::Kept);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--fresh" => base = Base::Fresh,
            "--profile" => profile = Profile::parse(words.next().map_or("", String::as_str))?,
            _ => return Err(format!("what is {word}? [--profile dev|release] [--fresh]").into()),
        }
    }
    check_rights()?;
    compile(profile)?;
    let packages = Packages::make(profile)?;
    check("the same commit gives the same bytes", || packages.again())?;
    check("lintian finds no error", || lintian(&packages.first))?;
    let mut root = CleanRoot::make(base)?;
    println!("✓ a clean root of Debian is there");
    installed(&root, &packages)?;
    served(&root)?;
    upgraded(&root, &packages)?;
    removed(&root, &packages)?;
    under_systemd(&mut root, &packages)
}

/// One line, and the end at the first that fails. What a check answers is said behind it.
fn check(what: &str, find: impl FnOnce() -> Result<String, String>) -> Outcome {
    match find() {
        Ok(more) if more.trim().is_empty() => println!("✓ {what}"),
        Ok(more) => println!("✓ {what}: {}", more.trim()),
        Err(why) => {
            println!("✗ {what}");
            return Err(format!("{what}: {why}").into());
        }
    }
    Ok(())
}

/// Three versions of the package, each higher than the one before.
struct Packages {
    recipe: Recipe,
    first: PathBuf,
    second: PathBuf,
    third: PathBuf,
}

impl Packages {
    fn make(profile: Profile) -> Result<Self, String> {
        let recipe = Recipe::of_commit(profile, target().join("deb-test/packages"))?;
        let settings = &recipe.settings;
        let later = |suffix: &str, settings: String| Recipe {
            version: format!("{}{suffix}", recipe.version),
            settings,
            compression: Compression::None,
            ..recipe.clone()
        };
        let second = pack(&later("+later1", format!("{settings}{NEWS}")))?;
        let third = pack(&later("+later2", format!("{settings}{NEWS}{NEWS}")))?;
        Ok(Self { first: pack(&recipe)?, second, third, recipe })
    }

    /// Makes the first one again, elsewhere, and compares.
    fn again(&self) -> Result<String, String> {
        let out = target().join("deb-test/packages-again");
        let other = pack(&Recipe { out, ..self.recipe.clone() })?;
        output(Command::new("cmp").arg(&self.first).arg(other))?;
        let bytes = self.first.metadata().map_or(0, |file| file.len());
        Ok(format!("{} MB", bytes / 1_000_000))
    }
}

fn lintian(package: &Path) -> Result<String, String> {
    if output(Command::new("lintian").arg("--version")).is_err() {
        return Ok("left out, it is not installed".to_owned());
    }
    let mut asked = Command::new("lintian");
    asked.args(["--allow-root", "--fail-on", "error", "--no-tag-display-limit"]);
    let found = output(asked.arg(package))?;
    Ok(format!("{} remarks", found.lines().filter(|line| line.starts_with("W:")).count()))
}

/// Installs or upgrades as somebody does who cannot answer questions.
fn install(root: &CleanRoot, package: &Path) -> Result<String, String> {
    std::fs::copy(package, root.path("/tmp/entracte.deb")).map_err(|error| error.to_string())?;
    let script =
        "apt-get -qq -y -o Dpkg::Use-Pty=0 --no-install-recommends install /tmp/entracte.deb 2>&1";
    let printed = root.run(Network::Host, script)?;
    let said = printed.lines().filter(|line| line.starts_with("entracte: "));
    Ok(said.collect::<Vec<_>>().join("\n  "))
}

fn installed(root: &CleanRoot, packages: &Packages) -> Outcome {
    let run = |script: &str| root.run(Network::Own, script);
    check("apt installs it with what it depends on", || install(root, &packages.first))?;
    check("it made a user without a password and a shell", || {
        let user = run("getent passwd entracte && passwd -S entracte")?;
        let fits = user.contains(":/var/lib/entracte:/usr/sbin/nologin") && user.contains(" L ");
        if fits { Ok(String::new()) } else { Err(user) }
    })?;
    check("files have their owners and modes", || {
        let paths = OWNERS.map(|row| row.rsplit(' ').next().unwrap_or_default());
        let found = run(&format!("stat -c '%U %G %a %n' {}", paths.join(" ")))?;
        let wrong = found.lines().zip(OWNERS).find(|(found, wanted)| found != wanted);
        wrong.map_or(Ok(String::new()), |(found, wanted)| Err(format!("{found}, not {wanted}")))
    })?;
    check("dpkg finds nothing to complain of", || {
        quiet(run("dpkg --verify entracte; dpkg --audit")?)
    })?;
    check("the unit is enabled", || {
        run("readlink /etc/systemd/system/multi-user.target.wants/entracte.service")
    })?;
    check("manual pages and completions are there", || {
        run("zcat /usr/share/man/man1/entracte-serve.1.gz | grep -q SYNOPSIS
            bash -n /usr/share/bash-completion/completions/entracte
            test -s /usr/share/zsh/vendor-completions/_entracte
            test -s /usr/share/fish/vendor_completions.d/entracte.fish")
    })?;
    check("entracte --version", || run("entracte --version"))?;
    check("entracte check-config", || {
        run(&format!("{AS_SERVICE} entracte check-config {SETTINGS}"))
    })?;
    check("entracte doctor finds no fault", || {
        let found = run(&format!("{AS_SERVICE} entracte doctor"))?;
        let count = |sign: &str| found.lines().filter(|line| line.starts_with(sign)).count();
        Ok(format!("{} fine, {} warnings, {} hints", count("ok"), count("warning"), count("hint")))
    })
}

/// Nothing, or it is a complaint.
fn quiet(printed: String) -> Result<String, String> {
    if printed.trim().is_empty() { Ok(String::new()) } else { Err(printed) }
}

/// The server as its user, in a network of its own.
fn served(root: &CleanRoot) -> Outcome {
    let run = |script: &str| root.run(Network::Own, script);
    let script = format!(
        "cd /; umask 077; echo $$ >/run/entracte-test.pid
        exec {AS_SERVICE} entracte serve --config {SETTINGS} >/tmp/serve.log 2>&1"
    );
    let mut server = root.start(Network::Own, &script)?;
    check("the server starts as its user", || ready(root, &mut server))?;
    check("it prints a link for the first administrator", || {
        let log = read(&root.path("/tmp/serve.log"))?;
        let line = log.lines().find(|line| line.starts_with("first administrator"));
        line.map(|_| String::new()).ok_or_else(|| log.clone())
    })?;
    check("it runs without privileges", || {
        let user = run("stat -c %U /proc/$(cat /run/entracte-test.pid)")?;
        if user.trim() == "entracte" {
            Ok(String::new())
        } else {
            Err(format!("it runs as {user}"))
        }
    })?;
    check("/healthz answers 200", || {
        run("bash -c 'exec 3<>/dev/tcp/127.0.0.1/8190
            printf \"GET /healthz HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n\" >&3
            head -n 1 <&3 | grep \" 200 \"'")
        .map(|line| line.trim().to_owned())
    })?;
    check("commands on the host reach it", || {
        run(&format!("{AS_SERVICE} entracte sessions")).map(|_| String::new())
    })?;
    for (voice, text) in [("slt", "Thank you for calling."), ("de", "Guten Tag, bitte warten.")] {
        check(&format!("entracte speak --voice {voice}"), || spoken(root, voice, text))?;
    }
    check("SIGTERM ends it with status 0", || {
        run("kill -TERM $(cat /run/entracte-test.pid)")?;
        ended(root, &mut server)
    })
}

/// Waits for the line that says that it listens.
fn ready(root: &CleanRoot, server: &mut Child) -> Result<String, String> {
    let log = root.path("/tmp/serve.log");
    for _ in 0..PATIENCE.as_millis() / STEP.as_millis() {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        if let Some(line) = text.lines().find(|line| line.starts_with("ready: ")) {
            return Ok(line.to_owned());
        }
        if let Ok(Some(status)) = server.try_wait() {
            return Err(format!("it ended, {status}:\n{}", last_lines(&text)));
        }
        sleep(STEP);
    }
    Err(format!("it is not ready after {PATIENCE:?}"))
}

fn ended(root: &CleanRoot, server: &mut Child) -> Result<String, String> {
    for _ in 0..PATIENCE.as_millis() / STEP.as_millis() {
        match server.try_wait().map_err(|error| error.to_string())? {
            Some(status) if status.success() => return Ok(String::new()),
            Some(status) => {
                let log = read(&root.path("/tmp/serve.log"))?;
                return Err(format!("it ended with {status}:\n{}", last_lines(&log)));
            }
            None => sleep(STEP),
        }
    }
    Err(format!("it still runs after {PATIENCE:?}"))
}

/// Speaks, and listens whether it is a second of sound at least.
fn spoken(root: &CleanRoot, voice: &str, text: &str) -> Result<String, String> {
    let script = format!(
        "cd /var/lib/entracte; umask 077; rm -f said.wav
        {AS_SERVICE} entracte speak '{text}' --voice {voice} --out said.wav"
    );
    root.run(Network::Own, &script)?;
    let file = root.path("/var/lib/entracte/said.wav");
    let bytes = std::fs::read(&file).map_err(|error| error.to_string())?;
    let _ = std::fs::remove_file(&file);
    // What comes before the samples is 44 bytes long; they are 16 bits, 8,000 a second.
    let samples = bytes.get(44..).unwrap_or_default().chunks_exact(2);
    let samples: Vec<u16> = samples
        .filter_map(|pair| Some(i16::from_le_bytes(pair.try_into().ok()?).unsigned_abs()))
        .collect();
    let (milliseconds, peak) = (samples.len() / 8, samples.iter().max().copied().unwrap_or(0));
    let heard = format!("{milliseconds} ms, peak {peak}");
    if milliseconds > 1_000 && peak > 2_000 { Ok(heard) } else { Err(heard) }
}

fn upgraded(root: &CleanRoot, packages: &Packages) -> Outcome {
    let run = |script: &str| root.run(Network::Own, script);
    check("an upgrade replaces settings that nobody touched", || {
        install(root, &packages.second)?;
        run(&format!(
            "cmp {SETTINGS} /usr/share/entracte/entracte.toml; grep -q 'one more thing' {SETTINGS}"
        ))?;
        run(&format!("stat -c '%U %a' {SETTINGS} | grep -qx 'entracte 640'"))
    })?;
    // As the pages do: a new file in the place of the old one, by the server's user.
    run(&format!(
        "{AS_SERVICE} sh -ec 'umask 077; cd /etc/entracte
        sed \"{EDIT}\" entracte.toml >.new; grep -q \"^max_sessions = 77\" .new; mv .new entracte.toml'"
    ))?;
    let before = read(&root.path(SETTINGS))?;
    check("an upgrade keeps settings that were changed, and asks nobody", || {
        let said = install(root, &packages.third)?;
        kept(root, &before)?;
        run(&format!("{AS_SERVICE} entracte check-config {SETTINGS}"))?;
        run(&format!("! cmp -s {SETTINGS} /usr/share/entracte/entracte.toml"))?;
        Ok(said)
    })?;
    check("so does the same version again", || {
        run("apt-get -qq -y -o Dpkg::Use-Pty=0 reinstall /tmp/entracte.deb")?;
        kept(root, &before)
    })?;
    check("a link that the server's user laid is not followed by root", || {
        run(&format!(
            "cp -p {SETTINGS} /opt/aside; rm {SETTINGS}; ln -s /opt/hurt {SETTINGS}
            apt-get -qq -y -o Dpkg::Use-Pty=0 reinstall /tmp/entracte.deb
            test ! -e /opt/hurt; rm {SETTINGS}; mv /opt/aside {SETTINGS}"
        ))?;
        kept(root, &before)
    })
}

/// Whether the settings are still these.
fn kept(root: &CleanRoot, before: &str) -> Result<String, String> {
    let now = read(&root.path(SETTINGS))?;
    if now == before { Ok(String::new()) } else { Err("the settings are others now".to_owned()) }
}

fn removed(root: &CleanRoot, packages: &Packages) -> Outcome {
    let run = |script: &str| root.run(Network::Own, script);
    let before = read(&root.path(SETTINGS))?;
    check("removing takes the programs and keeps settings and state", || {
        run("apt-get -qq -y remove entracte
            test ! -e /usr/bin/entracte; test ! -e /usr/lib/entracte
            test ! -e /usr/lib/systemd/system/entracte.service
            test -d /var/lib/entracte/http")?;
        kept(root, &before)
    })?;
    check("installed again, it finds them", || {
        install(root, &packages.third)?;
        kept(root, &before)?;
        run(&format!("{AS_SERVICE} entracte check-config {SETTINGS}"))
    })?;
    check("purging leaves nothing but the user", || {
        run("apt-get -qq -y purge entracte
            rm -f /run/entracte-test.pid
            getent passwd entracte >/dev/null")?;
        // What commands left in /tmp, and the package that lies there, are not the package's.
        quiet(run(
            "find / -xdev -path /proc -prune -o -path /tmp -prune -o -name '*entracte*' -print",
        )?)
    })?;
    check("after a purge it installs as if for the first time", || {
        install(root, &packages.first)?;
        run(&format!("cmp {SETTINGS} /usr/share/entracte/entracte.toml"))
    })?;
    check("settings that were given back to root stay root's, and readable", || {
        run("chown -R root:entracte /etc/entracte")?;
        install(root, &packages.second)?;
        run(&format!("cmp {SETTINGS} /usr/share/entracte/entracte.toml"))?;
        run(&format!("stat -c '%U %G %a' {SETTINGS} | grep -qx 'root entracte 640'"))?;
        run("apt-get -qq -y purge entracte").map(|_| String::new())
    })
}

/// The unit itself: the server behind all that it closes, restarted, reloaded and ended by maintainer scripts.
fn under_systemd(root: &mut CleanRoot, packages: &Packages) -> Outcome {
    let wanted = "apt-get -qq -y -o Dpkg::Use-Pty=0 --no-install-recommends install systemd systemd-sysv dbus
        systemctl mask getty.target console-getty.service systemd-logind.service";
    root.run(Network::Host, wanted)?;
    root.boot()?;
    println!("✓ systemd boots in the root");
    let root = &*root;
    let run = |script: &str| root.run(Network::Own, script);
    let pid = || run("systemctl show --property MainPID --value entracte");
    check("installing starts the unit", || {
        install(root, &packages.first)?;
        active(root)
    })?;
    check("the link for the first administrator is where postinst says", || {
        run("journalctl -u entracte | grep administrator").map(|_| String::new())
    })?;
    check("systemctl reload", || run("systemctl reload entracte"))?;
    check("commands of root reach it", || run("entracte sessions").map(|_| String::new()))?;
    check("an upgrade restarts it", || {
        let before = pid()?;
        install(root, &packages.second)?;
        active(root)?;
        if pid()? == before { Err("it is the old one".to_owned()) } else { Ok(String::new()) }
    })?;
    check("a version that cannot use the settings says so, and the old server goes on", || {
        let before = pid()?;
        run(&format!("sed -i 's/^#max_sessions = 32$/max_sessions = 0/' {SETTINGS}"))?;
        let said = install(root, &packages.third)?;
        active(root)?;
        let told =
            said.lines().find(|line| line.contains("this version cannot use these settings"));
        let same = pid()? == before;
        told.filter(|_| same).map(|line| line.trim().to_owned()).ok_or_else(|| said.clone())
    })?;
    check("it was not restarted by itself meanwhile", || {
        let count = run("systemctl show --property NRestarts --value entracte")?;
        if count.trim() == "0" { Ok(String::new()) } else { Err(count) }
    })?;
    check("removing ends it, well", || {
        run("apt-get -qq -y remove entracte
            if systemctl is-active entracte; then exit 1; fi
            journalctl -u entracte | grep -q 'Deactivated successfully'")
        .map(|_| String::new())
    })?;
    check("purging takes the unit with it", || {
        run("apt-get -qq -y purge entracte; ! systemctl cat entracte").map(|_| String::new())
    })
}

/// Whether the unit is up; what it said if not.
fn active(root: &CleanRoot) -> Result<String, String> {
    root.run(Network::Own, "systemctl is-active entracte").or_else(|_| {
        let said = root.run(
            Network::Own,
            "systemctl status --no-pager entracte || true; journalctl -n 20 --no-pager",
        )?;
        Err(last_lines(&said))
    })
}
