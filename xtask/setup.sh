#!/bin/sh
# Installs what is missing to build, demonstrate and test, and says what and why.
# Usage: setup.sh make | demo | test. Ends with 1 and a clear message where it may not install.
set -eu
stage=${1:-test}
cd "$(dirname "$0")/.."

say() { printf '%s\n' "setup: $*"; }
stop() { printf '%s\n' "setup: $*" >&2; exit 1; }

# A row: the Debian package, whether it is there, and what it is for.
missing=
need() {
    package=$1 probe=$2 why=$3
    if ! sh -c "$probe" >/dev/null 2>&1; then
        say "$package is missing: $why"
        missing="$missing $package"
    fi
}
program() { need "$1" "command -v $2" "$3"; }

program make make "runs the commands of this project"
if [ "$stage" != make ]; then
    program build-essential cc "links programs and builds the C code of some libraries"
    program cmake cmake "builds the Opus library"
    program pkg-config pkg-config "finds installed libraries"
    need libespeak-ng-dev "test -e /usr/include/espeak-ng/speak_lib.h || pkg-config --exists espeak-ng" \
        "the library that turns text into speech"
    need espeak-ng-data "ls -d /usr/lib/*/espeak-ng-data /usr/share/espeak-ng-data /usr/lib64/espeak-ng-data | grep ." \
        "the voices of that library"
    need flite1-dev "test -e /usr/include/flite/flite.h" "a library that speaks English with other voices"
    need libpulse-dev "pkg-config --exists libpulse" "the library that speaks with the sound server"
    program ffmpeg ffmpeg "reads audio formats that the server does not read itself"
fi
if [ "$stage" = test ]; then
    program icecast2 icecast2 "tests play its streams"
    program pulseaudio pulseaudio "tests capture from its devices"
    program pulseaudio-utils pactl "tests plug and unplug devices with it"
    program pipewire pipewire "tests capture from its devices, too"
    program pipewire-pulse pipewire-pulse "the door of PipeWire that the server knocks at"
    program wireplumber wireplumber "PipeWire does nothing without it"
    program dbus-daemon dbus-run-session "PipeWire wants a bus of its own"
    need libasound2-plugins "ls /usr/lib/*/alsa-lib/libasound_module_pcm_pulse.so" \
        "tests reach a device by ALSA through it"
    program baresip baresip "tests dial with it, a softphone"
    program sip-tester sipp "tests place calls by the thousand with it"
    program openssl openssl "tests make certificates with it"
    program chromium chromium "tests walk the pages with it, a browser"
    program chromium-driver chromedriver "drives that browser"
    program libxml2-utils xmllint "checks an archive of settings by its schema"
    need e2fsprogs "command -v mkfs.ext4 || test -x /sbin/mkfs.ext4" "tests fill a small disk that it makes"
    program mount mount "tests mount that disk, where they may"
    program python3 python3 "its own mail modules are clients of the message store"
    need libopencore-amrnb0 "ls /usr/lib/*/libopencore-amrnb.so.0" "makes the messages in AMR that tests play"
    program curl curl "tests read mail with it"
    program isync mbsync "tests keep a folder of mail in step with it"
    need dovecot-core "test -x /usr/sbin/dovecot" "a mail server that messages are played from"
    need dovecot-imapd "test -e /usr/lib/dovecot/imap" "the half of it that tests speak with"
    # It would take the place of another mail server, which is left alone: then the tests that want Exim say so.
    need exim4-daemon-light "test -x /usr/sbin/exim4 || test -e /usr/sbin/sendmail" \
        "a mail server that takes what goes on by e-mail"
    program tshark tshark "tests dissect captured calls with it"
fi

if [ -n "$missing" ]; then
    command -v apt-get >/dev/null 2>&1 ||
        stop "there is no apt-get here; please install what these Debian packages hold, then try again:$missing"
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        as_root="sudo"
    else
        stop "installing needs root, and there is no sudo that would let us; as root run: apt-get install$missing"
    fi
    say "installing with apt-get:$missing"
    # Capturing as an ordinary user is asked for by tshark; the tests need no such right.
    if command -v debconf-set-selections >/dev/null 2>&1; then
        echo "wireshark-common wireshark-common/install-setuid boolean false" |
            $as_root debconf-set-selections || true
    fi
    apt() {
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 \
            -o Dpkg::Use-Pty=0 "$@" </dev/null
    }
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    # shellcheck disable=SC2086
    if ! { apt update && apt install --yes --no-install-recommends $missing; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        stop "apt-get could not install:$missing"
    fi
    say "installed:$missing"
fi
if [ "$stage" = make ]; then
    exit 0
fi

if ! command -v cargo >/dev/null 2>&1; then
    [ -x "$HOME/.cargo/bin/cargo" ] &&
        stop "cargo is in $HOME/.cargo/bin, which is not in PATH; run: . \"$HOME/.cargo/env\""
    stop "there is no Rust toolchain; install one with rustup, as https://rustup.rs says"
fi
wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
found=$(rustc --version | sed 's/^rustc \([0-9]*\.[0-9]*\).*/\1/')
older=$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)
[ "$older" = "$wanted" ] ||
    stop "Rust $found is too old, $wanted or newer is needed; run: rustup update stable && rustup default stable"
if [ "$stage" = test ]; then
    for component in rustfmt clippy; do
        if ! cargo "${component#rust}" --version >/dev/null 2>&1; then
            command -v rustup >/dev/null 2>&1 || stop "cargo ${component#rust} is missing"
            say "adding the Rust component $component: tests check form and lints"
            rustup --quiet component add "$component"
        fi
    done
fi
say "all that is needed for $stage is here (Rust $found)"
