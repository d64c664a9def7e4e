//! Call detail records: one line for each call that is over, in a file a day.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use serde::Serialize;

use crate::config::CdrFormat;

/// Records that may wait for the disk; more are lost, and said to be.
const WAITING_MAX: usize = 4_096;
/// The head of a CSV file: the fields of [`CallRecord`].
const CSV_HEAD: &str = "call_id,began_utc,ended_utc,seconds,ended_by,peer,remote_rtp,codec,channels,heard,sent,received,lost,peer_lost,late,jitter_ms,code,reason\n";

/// One call that is over. Nobody's number is in it: who called whom is the calling system's to record.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CallRecord {
    /// Its SIP Call-ID, by which the calling system's record is found.
    pub call_id: String,
    /// When its INVITE came.
    pub began_utc: String,
    /// When it ended.
    pub ended_utc: String,
    /// How long that is.
    pub seconds: f64,
    /// Who ended it: `bye`, `local-bye`, `refused`, `cancelled`, `no-ack`, `timeout`, `unknown`, `flow-closed`.
    pub ended_by: &'static str,
    /// Where its signalling came from.
    pub peer: String,
    /// Where its audio went.
    pub remote_rtp: Option<String>,
    /// How it was encoded.
    pub codec: Option<String>,
    /// MRCPv2 channels it had at its end.
    pub channels: usize,
    /// What it heard last, never the words of a text.
    pub heard: Option<String>,
    /// RTP packets that left.
    pub sent: u64,
    /// RTP packets that came.
    pub received: u64,
    /// Packets of the peer that never came.
    pub lost: i64,
    /// Packets of ours that the peer missed, as it said.
    pub peer_lost: i64,
    /// Packets left out or silent because something of ours came too late.
    pub late: u64,
    /// The jitter of what came.
    pub jitter_ms: u64,
    /// The status of our refusal, where the call was refused.
    pub code: Option<u16>,
    /// Why we refused it, or hung up.
    pub reason: Option<String>,
}

/// Writes records on a thread of its own. It ends with the last sender.
#[derive(Clone, Debug)]
pub struct Records(SyncSender<CallRecord>);

impl Records {
    /// Writes into `folder`, and deletes files there that are older than `keep_days`.
    ///
    /// # Errors
    /// When the folder or the thread cannot be had.
    pub fn start(folder: PathBuf, format: CdrFormat, keep_days: u64) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let (records, waiting) = sync_channel::<CallRecord>(WAITING_MAX);
        let mut writer = Writer { folder, format, keep_days, open: None };
        std::thread::Builder::new().name("call-records".to_owned()).spawn(move || {
            while let Ok(record) = waiting.recv() {
                if let Err(error) = writer.write(&record) {
                    let call_id = &record.call_id;
                    tracing::error!(%error, call_id, "a call's record is lost");
                }
            }
        })?;
        Ok(Self(records))
    }

    /// Hands a record over; it never waits.
    pub fn put(&self, record: CallRecord) {
        if let Err(TrySendError::Full(record) | TrySendError::Disconnected(record)) =
            self.0.try_send(record)
        {
            tracing::error!(
                call_id = record.call_id,
                "a call's record is lost: the disk is too slow"
            );
        }
    }
}

struct Writer {
    folder: PathBuf,
    format: CdrFormat,
    keep_days: u64,
    open: Option<(String, File)>,
}

impl Writer {
    fn write(&mut self, record: &CallRecord) -> io::Result<()> {
        let day = record.ended_utc.get(..10).unwrap_or_default().to_owned();
        if self.open.as_ref().is_none_or(|(open, _)| *open != day) {
            self.open = Some((day.clone(), self.file(&day)?));
            self.prune(&day);
        }
        let Some((_, file)) = &mut self.open else { return Ok(()) };
        let line = match self.format {
            CdrFormat::Jsonl => format!("{}\n", serde_json::to_string(record)?),
            CdrFormat::Csv => csv(record),
        };
        file.write_all(line.as_bytes())
    }

    fn file(&self, day: &str) -> io::Result<File> {
        let (ending, head) = match self.format {
            CdrFormat::Jsonl => ("jsonl", "{\"format\":\"entracte-calls 1\"}\n"),
            CdrFormat::Csv => ("csv", CSV_HEAD),
        };
        let first = self.folder.join(format!("calls-{day}.{ending}"));
        // What another version began goes on in a file of its own.
        let began = fs::read_to_string(&first).unwrap_or_default();
        let path = if began.is_empty() || began.starts_with(head) {
            first
        } else {
            self.folder.join(format!("calls-{day}-2.{ending}"))
        };
        let mut file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
        if file.metadata()?.len() == 0 {
            file.write_all(head.as_bytes())?;
        }
        Ok(file)
    }

    /// Deletes what is too old. Names sort as their days do.
    fn prune(&self, day: &str) {
        let oldest = days_before(day, self.keep_days);
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name().into_string().unwrap_or_default();
            let of = name.strip_prefix("calls-").and_then(|rest| rest.get(..10));
            if of.is_some_and(|of| of < oldest.as_str()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// The day so many days before `day`, both as `2026-11-28`.
fn days_before(day: &str, days: u64) -> String {
    let midnight = web::unix_of(day).unwrap_or(u64::MAX);
    let before = web::utc(midnight.saturating_sub(days * 86_400));
    before.get(..10).unwrap_or_default().to_owned()
}

fn csv(record: &CallRecord) -> String {
    let text = |text: &str| {
        // What begins like a formula is none to a spreadsheet behind an apostrophe.
        let formula = if text.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
        if text.contains([',', '"', '\n', '\r']) {
            // RFC 4180, one record a line.
            format!("\"{formula}{}\"", text.replace('"', "\"\"").replace(['\n', '\r'], " "))
        } else {
            format!("{formula}{text}")
        }
    };
    let CallRecord { call_id, began_utc, ended_utc, seconds, ended_by, peer, .. } = record;
    let or_none = |value: &Option<String>| text(value.as_deref().unwrap_or_default());
    format!(
        "{},{began_utc},{ended_utc},{seconds:.3},{ended_by},{},{},{},{},{},{},{},{},{},{},{},{},{}\n",
        text(call_id),
        text(peer),
        or_none(&record.remote_rtp),
        or_none(&record.codec),
        record.channels,
        or_none(&record.heard),
        record.sent,
        record.received,
        record.lost,
        record.peer_lost,
        record.late,
        record.jitter_ms,
        record.code.map(|code| code.to_string()).unwrap_or_default(),
        or_none(&record.reason),
    )
}

/// Where records are kept.
#[must_use]
pub fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("cdr")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(call_id: &str, day: &str) -> CallRecord {
        CallRecord {
            call_id: call_id.into(),
            began_utc: format!("{day} 10:00:00"),
            ended_utc: format!("{day} 10:00:02"),
            seconds: 2.0,
            ended_by: "bye",
            peer: "192.0.2.1:5060".into(),
            remote_rtp: None,
            codec: Some("PCMU 20 ms".into()),
            channels: 1,
            heard: Some("play source:A, B".into()),
            sent: 100,
            received: 0,
            lost: 0,
            peer_lost: 0,
            late: 0,
            jitter_ms: 0,
            code: None,
            reason: None,
        }
    }

    #[test]
    fn a_file_a_day_with_a_head_and_the_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        for format in [CdrFormat::Jsonl, CdrFormat::Csv] {
            let mut writer =
                Writer { folder: folder.path().into(), format, keep_days: 30, open: None };
            writer.write(&record("a", "2026-10-01")).unwrap();
            writer.write(&record("b\"\n,c", "2026-11-27")).unwrap();
            let mut again = Writer { open: None, ..writer };
            again.write(&record("d", "2026-11-27")).unwrap();
            again.write(&record("e", "2026-11-28")).unwrap();
        }
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(
            names,
            [
                "calls-2026-11-27.csv",
                "calls-2026-11-27.jsonl",
                "calls-2026-11-28.csv",
                "calls-2026-11-28.jsonl"
            ]
        );
        let csv = fs::read_to_string(folder.path().join("calls-2026-11-27.csv")).unwrap();
        let lines: Vec<_> = csv.lines().collect();
        assert_eq!((lines.len(), lines[0].split(',').count()), (3, 18));
        assert_eq!(lines[1].split(',').next(), Some("\"b\"\" "));
        assert!(lines[2].contains("\"play source:A, B\""), "{csv}");
        let jsonl = fs::read_to_string(folder.path().join("calls-2026-11-27.jsonl")).unwrap();
        let lines: Vec<serde_json::Value> =
            jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((lines.len(), &lines[1]["call_id"]), (3, &"b\"\n,c".into()));
    }

    #[test]
    fn days_are_counted_back_over_months_and_years() {
        assert_eq!(days_before("2026-03-01", 1), "2026-02-28");
        assert_eq!(days_before("2024-03-01", 1), "2024-02-29");
        assert_eq!(days_before("2026-01-10", 30), "2025-12-11");
    }
}
