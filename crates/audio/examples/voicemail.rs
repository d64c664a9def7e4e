//! How fast voice messages are compressed, and what becomes of them:
//!
//! ```sh
//! cargo run --release -p audio --example voicemail -- speech.wav …   # 8 kHz, one channel
//! ```
//!
//! Beside each file, one for each compression is written, for programs that compare or play them.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that measures and tells"
)]

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use audio::voicemail::Compression;
use audio::wav;

const ALL: [Compression; 4] =
    [Compression::TrueSpeech, Compression::Gsm, Compression::MuLaw, Compression::Opus];

fn measure(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let samples = wav::read(&std::fs::read(path)?)?.samples();
    let seconds = f64::from(u32::try_from(samples.len())?) / f64::from(audio::RATE_HZ);
    println!("{}: {seconds:.1} s", path.display());
    for compression in ALL {
        let begun = Instant::now();
        let file = compression.file(&samples)?;
        let speed = seconds / begun.elapsed().as_secs_f64();
        let kilobits = f64::from(u32::try_from(file.len())?) * 8.0 / seconds / 1_000.0;
        let end = if compression == Compression::Opus { "ogg" } else { "wav" };
        let to = path.with_extension(format!("{}.{end}", compression.codec()));
        std::fs::write(&to, file)?;
        println!(
            "  {:<10} {speed:>6.0} x real time, {kilobits:.1} kbit/s, {}",
            compression.codec(),
            to.display()
        );
    }
    Ok(())
}

fn main() -> ExitCode {
    let files: Vec<_> = std::env::args_os().skip(1).collect();
    if files.is_empty() {
        println!("voicemail FILE.wav …: 8 kHz, one channel");
        return ExitCode::from(2);
    }
    for file in &files {
        if let Err(error) = measure(Path::new(file)) {
            println!("{}: {error}", file.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
