//! The metrics, made anew for each reading from what is known at that moment: nothing is counted twice
//! and nothing stays behind of a source that is gone.

use std::fmt::Write as _;

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge, with_local_recorder};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::settings::{Pending, Settings};
use crate::view::{
    Delivery, Engine, Heard, Host, MailPrograms, MailSentOn, MailServer, Provider, SipCount,
    Source, SourceState, Speech, Standing, View, Waits, alarms,
};

/// All metrics as Prometheus reads them.
pub(crate) fn exposition(
    view: &(impl View + Settings),
    standing: Standing,
    engines: &[Engine],
) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    let (sources, speech) = (view.sources(), view.speech());
    with_local_recorder(&recorder, || {
        describe();
        describe_host();
        describe_others();
        describe_mail();
        sources.iter().for_each(of_source);
        counter!("entracte_sources_late_total").absolute(view.sources_late());
        of_speech(&speech);
        gauge!("entracte_alarms").set(count(alarms(view).len()));
        of_standing(standing);
        // The names are there before the first message is.
        for direction in ["in", "out"] {
            of_sip(&SipCount { direction, is_request: true, what: "INVITE".to_owned(), count: 0 });
            of_sip(&SipCount { direction, is_request: false, what: "200".to_owned(), count: 0 });
        }
        view.sip_counts().iter().for_each(of_sip);
        view.deliveries().iter().for_each(of_delivery);
        if let Some(store) = view.mail() {
            of_mail(&store);
        }
        view.mail_programs().iter().for_each(of_programs);
        view.mail_sent_on().iter().for_each(of_sent_on);
        of_mail_servers(&view.mail_servers());
        let missed = view.missed();
        counter!("entracte_capture_missed_total").absolute(missed.captures);
        counter!("entracte_hep_lost_total").absolute(missed.hep);
        counter!("entracte_spans_lost_total").absolute(missed.spans);
        engines.iter().for_each(of_engine);
        of_host(&view.host());
        of_settings(&view.pending());
        gauge!("entracte_build_info", "version" => view.about().version).set(1.0);
    });
    let mut text = recorder.handle().render();
    first_audio(&speech.providers, &mut text);
    text
}

/// The histogram, which the recorder could only make of the single waits, and those are gone.
/// Prometheus exposition format 0.0.4.
fn first_audio(providers: &[Provider], text: &mut String) {
    const NAME: &str = "entracte_tts_first_audio_seconds";
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "# HELP {NAME} From the order to speak to the packet with the first sound\n\
         # TYPE {NAME} histogram"
    );
    for Provider { name, first_audio, .. } in providers {
        let name = name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        for (seconds, count) in &first_audio.within {
            let _ = writeln!(text, "{NAME}_bucket{{provider=\"{name}\",le=\"{seconds}\"}} {count}");
        }
        let Waits { count, sum_seconds, .. } = first_audio;
        let _ = writeln!(text, "{NAME}_bucket{{provider=\"{name}\",le=\"+Inf\"}} {count}");
        let _ = writeln!(text, "{NAME}_sum{{provider=\"{name}\"}} {sum_seconds}");
        let _ = writeln!(text, "{NAME}_count{{provider=\"{name}\"}} {count}");
    }
}

fn of_speech(speech: &Speech) {
    for provider in &speech.providers {
        let label = || [("provider", provider.name.clone())];
        let up = f64::from(u8::from(provider.failed.is_none()));
        gauge!("entracte_tts_provider_up", &label()).set(up);
        counter!("entracte_tts_spoken_total", &label()).absolute(provider.spoken);
        counter!("entracte_tts_failures_total", &label()).absolute(provider.failures);
        counter!("entracte_tts_restarts_total", &label()).absolute(provider.restarts);
    }
    gauge!("entracte_tts_texts").set(count(speech.texts));
    counter!("entracte_limited_milliseconds_total").absolute(speech.limited_ms);
    for (name, cache) in [("speech", speech.cache), ("prompts", speech.prompt_cache)] {
        let Some(cache) = cache else { continue };
        let label = || [("cache", name)];
        gauge!("entracte_cache_entries", &label()).set(count(cache.entries));
        let megabytes = u32::try_from(cache.bytes >> 10).unwrap_or(u32::MAX);
        gauge!("entracte_cache_bytes", &label()).set(f64::from(megabytes) * 1_024.0);
        counter!("entracte_cache_hits_total", &label()).absolute(cache.hits);
        counter!("entracte_cache_misses_total", &label()).absolute(cache.misses);
        counter!("entracte_cache_corrupt_total", &label()).absolute(cache.corrupt);
    }
}

fn describe() {
    describe_gauge!(
        "entracte_source_heard",
        "1 while the source itself is heard, 0 for the fallback"
    );
    describe_gauge!("entracte_source_playing", "1 while audio comes from the source");
    describe_gauge!("entracte_source_silent", "1 while the source plays silence for too long");
    describe_gauge!("entracte_source_listeners", "Calls that hear the source");
    describe_gauge!("entracte_source_peak_dbfs", "The largest sample of the last 300 ms");
    describe_gauge!("entracte_source_rms_dbfs", "The root mean square of the last 300 ms");
    describe_gauge!(
        "entracte_source_buffered_seconds",
        Unit::Seconds,
        "Audio that is decoded and waits to be heard"
    );
    describe_counter!("entracte_source_reconnects_total", "Connections made after the first");
    describe_counter!(
        "entracte_source_underruns_total",
        "Times the buffer ran dry although the connection stood"
    );
    describe_counter!(
        "entracte_sources_late_total",
        "Times the sources' clock was so late that listeners missed some of them"
    );
    describe_counter!(
        "entracte_source_limited_milliseconds_total",
        "Sound of the source that was turned down so as not to clip"
    );
    describe_gauge!(
        "entracte_tts_provider_up",
        "0 from when the provider failed until it speaks again"
    );
    describe_counter!("entracte_tts_spoken_total", "Texts that the provider spoke");
    describe_counter!(
        "entracte_tts_failures_total",
        "Texts that the provider did not speak, so that the next was asked"
    );
    describe_counter!("entracte_tts_restarts_total", "Helper processes started in place of others");
    describe_gauge!("entracte_tts_texts", "Texts being spoken");
    describe_counter!(
        "entracte_limited_milliseconds_total",
        "Speech and prompts that were turned down so as not to clip"
    );
    describe_gauge!("entracte_cache_entries", "Entries of a cache on the disk");
    describe_gauge!("entracte_cache_bytes", Unit::Bytes, "Bytes of a cache on the disk");
    describe_counter!("entracte_cache_hits_total", "Times that a cache had what was asked for");
    describe_counter!("entracte_cache_misses_total", "Times that a cache did not have it");
    describe_counter!(
        "entracte_cache_corrupt_total",
        "Entries of a cache that were dropped because they were damaged"
    );
    describe_gauge!("entracte_alarms", "What somebody should look after: /api/v1/alarms tells it");
    describe_gauge!("entracte_sessions", "Calls");
    describe_gauge!("entracte_channels", "MRCPv2 channels");
    describe_gauge!("entracte_streams", "Media streams");
    describe_gauge!("entracte_utterances", "Utterances that are prepared or played");
    describe_gauge!("entracte_connections", "TCP connections");
    describe_gauge!("entracte_sip_transactions", "SIP transactions, of both sides");
}

fn describe_others() {
    describe_counter!("entracte_sip_requests_total", "SIP requests, by direction and method");
    describe_counter!(
        "entracte_sip_responses_total",
        "SIP responses, by direction and status code"
    );
    describe_counter!("entracte_webhook_taken_total", "Events that the address of a webhook took");
    describe_counter!("entracte_webhook_lost_total", "Events that a webhook gave up");
    describe_counter!(
        "entracte_capture_missed_total",
        "Datagrams and parts of streams that captures lack, because the disk was too slow"
    );
    describe_counter!("entracte_hep_lost_total", "Copies that the HEP collector did not get");
    describe_counter!(
        "entracte_spans_lost_total",
        "Spans that the collector of traces did not get"
    );
    describe_gauge!("entracte_webhook_up", "0 while the address of a webhook takes no events");
    describe_counter!(
        "entracte_mail_deliveries_total",
        "Messages by what became of them: delivered into their mailbox, kept in the spool, refused"
    );
    describe_gauge!("entracte_mail_store_up", "0 while the root of the message store is away");
    describe_gauge!("entracte_mail_spooled", "Messages that wait for the message store");
    describe_counter!("entracte_mail_quarantined_total", "Damaged messages that were put aside");
}

fn of_mail(store: &mailbox::MessageStore) {
    for (outcome, messages) in
        ["delivered", "spooled", "refused"].into_iter().zip(store.delivered())
    {
        counter!("entracte_mail_deliveries_total", "outcome" => outcome).absolute(messages);
    }
    gauge!("entracte_mail_store_up").set(f64::from(u8::from(store.trouble().is_none())));
    gauge!("entracte_mail_spooled").set(count(store.pending().len()));
    counter!("entracte_mail_quarantined_total").absolute(store.quarantined());
}

fn describe_mail() {
    describe_gauge!("entracte_email_pending", "Messages that wait to be sent on by e-mail");
    describe_counter!(
        "entracte_email_tries_total",
        "Messages sent on by e-mail, by what became of them: sent, deferred, bounced"
    );
    describe_gauge!(
        "entracte_email_agreeing",
        "Mailboxes that are kept in agreement with an INBOX elsewhere"
    );
    describe_counter!(
        "entracte_email_agreed_total",
        "Messages that were changed so that they agree with their copies, by side: here, there"
    );
    describe_gauge!("entracte_mail_connections", "Connections of mail programs");
    describe_counter!(
        "entracte_mail_connections_refused_total",
        "Connections of mail programs that were refused because there were too many"
    );
    describe_counter!(
        "entracte_lmtp_messages_total",
        "Messages brought by LMTP, for each receiver, by what became of them: taken, refused"
    );
    describe_counter!("entracte_imap_logins_total", "Log-ins by IMAP, by outcome: let in, refused");
    describe_counter!("entracte_imap_commands_total", "Commands of IMAP clients");
    describe_counter!(
        "entracte_mail_fetched_total",
        "Messages of mail servers that calls asked for, by server and outcome: found, failed"
    );
    describe_gauge!(
        "entracte_mail_server_up",
        "0 while a mail server fails for all who use it; absent while nobody does"
    );
}

fn of_programs(programs: &MailPrograms) {
    let MailPrograms {
        connections,
        refused,
        delivered,
        rejected,
        logins,
        login_failures,
        commands,
    } = *programs;
    gauge!("entracte_mail_connections").set(count(usize::try_from(connections).unwrap_or(0)));
    counter!("entracte_mail_connections_refused_total").absolute(refused);
    counter!("entracte_lmtp_messages_total", "outcome" => "taken").absolute(delivered);
    counter!("entracte_lmtp_messages_total", "outcome" => "refused").absolute(rejected);
    counter!("entracte_imap_logins_total", "outcome" => "let in").absolute(logins);
    counter!("entracte_imap_logins_total", "outcome" => "refused").absolute(login_failures);
    counter!("entracte_imap_commands_total").absolute(commands);
}

fn of_sent_on(state: &MailSentOn) {
    gauge!("entracte_email_pending").set(count(usize::try_from(state.pending).unwrap_or(0)));
    for (outcome, messages) in
        [("sent", state.sent), ("deferred", state.deferred), ("bounced", state.bounced)]
    {
        counter!("entracte_email_tries_total", "outcome" => outcome).absolute(messages);
    }
    if let Some(agreement) = &state.agreement {
        let mailboxes = usize::try_from(agreement.mailboxes).unwrap_or(0);
        gauge!("entracte_email_agreeing").set(count(mailboxes));
        for (side, messages) in
            [("here", agreement.changed_here), ("there", agreement.changed_there)]
        {
            counter!("entracte_email_agreed_total", "side" => side).absolute(messages);
        }
    }
}

/// By server, whoever was acted for there: names of users are nobody's business.
fn of_mail_servers(servers: &[MailServer]) {
    let mut all: std::collections::BTreeMap<&str, (u64, u64, Option<bool>)> =
        std::collections::BTreeMap::new();
    for server in servers {
        let entry = all.entry(&server.name).or_insert((0, 0, None));
        entry.0 += server.fetched;
        entry.1 += server.failed;
        // One account that may not log in says nothing of the others; one that nobody used says nothing at all.
        if server.state != "unused" {
            entry.2 = Some(entry.2 == Some(true) || server.state != "failing");
        }
    }
    for (name, (found, failed, is_up)) in all {
        for (outcome, messages) in [("found", found), ("failed", failed)] {
            let labels = [("server", name.to_owned()), ("outcome", outcome.to_owned())];
            counter!("entracte_mail_fetched_total", &labels).absolute(messages);
        }
        let label = [("server", name.to_owned())];
        if let Some(is_up) = is_up {
            gauge!("entracte_mail_server_up", &label).set(f64::from(u8::from(is_up)));
        }
    }
}

fn of_sip(count: &SipCount) {
    let (name, label) = if count.is_request {
        ("entracte_sip_requests_total", "method")
    } else {
        ("entracte_sip_responses_total", "code")
    };
    let labels = [("direction", count.direction.to_owned()), (label, count.what.clone())];
    counter!(name, &labels).absolute(count.count);
}

fn of_delivery(delivery: &Delivery) {
    let label = || [("webhook", delivery.webhook.clone())];
    counter!("entracte_webhook_taken_total", &label()).absolute(delivery.taken);
    counter!("entracte_webhook_lost_total", &label()).absolute(delivery.lost);
    gauge!("entracte_webhook_up", &label()).set(f64::from(u8::from(delivery.trouble.is_none())));
}

fn describe_host() {
    describe_gauge!(
        "entracte_engine_load_ratio",
        "How busy an engine was over the last 30 s, 0 to 1"
    );
    describe_gauge!("entracte_engine_streams", "Calls that an engine sends audio to");
    describe_gauge!(
        "entracte_engine_late_p99_seconds",
        Unit::Seconds,
        "Lateness that 99 of 100 ticks of an engine stayed under lately"
    );
    describe_counter!(
        "entracte_engine_left_out_total",
        "Ticks that an engine left out because it came more than 20 ms late"
    );
    describe_gauge!("entracte_disk_free_bytes", Unit::Bytes, "Free space where a folder is");
    describe_gauge!("entracte_settings_revision", "The number of the settings in use");
    describe_gauge!("entracte_settings_waiting", "Keys that wait for a restart");
    describe_gauge!(
        "entracte_settings_faults",
        "Faults of the configuration file, which is not in use then"
    );
    describe_gauge!("entracte_build_info", "1, with the version");
    describe_gauge!("process_resident_memory_bytes", Unit::Bytes, "Memory of the server's process");
    describe_counter!(
        "process_cpu_seconds_total",
        Unit::Seconds,
        "Processor time of the server's process, in whole seconds"
    );
    describe_gauge!("process_open_fds", "Files that the server's process has open");
    describe_gauge!(
        "process_start_time_seconds",
        Unit::Seconds,
        "When the server started, in seconds since 1970"
    );
}

fn of_engine(engine: &Engine) {
    let label = || [("engine", engine.number.to_string())];
    gauge!("entracte_engine_load_ratio", &label()).set(engine.average_percent / 100.0);
    gauge!("entracte_engine_streams", &label()).set(count(engine.graphs));
    let late = f64::from(u32::try_from(engine.late_p99_us).unwrap_or(u32::MAX));
    gauge!("entracte_engine_late_p99_seconds", &label()).set(late / 1_000_000.0);
    counter!("entracte_engine_left_out_total", &label()).absolute(engine.left_out);
}

fn of_host(host: &Host) {
    for (folder, free) in &host.free_bytes {
        gauge!("entracte_disk_free_bytes", "dir" => folder.clone()).set(bytes(*free));
    }
    gauge!("process_resident_memory_bytes").set(bytes(host.resident_bytes));
    counter!("process_cpu_seconds_total").absolute(host.cpu_seconds);
    gauge!("process_open_fds").set(count(host.open_files));
    gauge!("process_start_time_seconds").set(bytes(host.started_unix_seconds));
}

fn of_settings(pending: &Pending) {
    gauge!("entracte_settings_revision").set(bytes(pending.revision));
    gauge!("entracte_settings_waiting").set(count(pending.waiting.len()));
    gauge!("entracte_settings_faults").set(count(pending.faults.len()));
}

/// Exact to 2^53.
#[expect(clippy::cast_precision_loss, reason = "a figure for a curve")]
const fn bytes(number: u64) -> f64 {
    number as f64
}

fn of_source(source: &Source) {
    let label = || [("source", source.name.clone())];
    let is = |yes: bool| f64::from(u8::from(yes));
    gauge!("entracte_source_heard", &label()).set(is(source.heard == Heard::Source));
    gauge!("entracte_source_playing", &label()).set(is(source.state == SourceState::Playing));
    gauge!("entracte_source_silent", &label()).set(is(source.silent));
    gauge!("entracte_source_listeners", &label()).set(count(source.listeners));
    gauge!("entracte_source_peak_dbfs", &label()).set(source.peak_dbfs);
    gauge!("entracte_source_rms_dbfs", &label()).set(source.rms_dbfs);
    let buffered = u32::try_from(source.buffered_ms).unwrap_or(u32::MAX);
    gauge!("entracte_source_buffered_seconds", &label()).set(f64::from(buffered) / 1_000.0);
    counter!("entracte_source_reconnects_total", &label()).absolute(source.reconnects);
    counter!("entracte_source_underruns_total", &label()).absolute(source.underruns);
    counter!("entracte_source_limited_milliseconds_total", &label()).absolute(source.limited_ms);
}

fn of_standing(standing: Standing) {
    gauge!("entracte_sessions").set(count(standing.sessions));
    gauge!("entracte_channels").set(count(standing.channels));
    gauge!("entracte_streams").set(count(standing.streams));
    gauge!("entracte_utterances").set(count(standing.utterances));
    gauge!("entracte_connections").set(count(standing.connections));
    gauge!("entracte_sip_transactions").set(count(standing.transactions));
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
