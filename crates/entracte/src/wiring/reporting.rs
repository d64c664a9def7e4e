//! What the engine reports of programs and streams, and how a program ends.

use super::*;

impl Wiring {
    /// A program that cannot be played to its end, through no fault of what it plays.
    pub(super) fn lose(&mut self, program: ProgramId, why: &str) {
        self.program_over(program, Some(why));
        let failure = Failure::Error(why.to_owned());
        self.decide(control::Event::Feed(Feed::Failed { program, failure }));
        self.decide(control::Event::Finished { program });
    }

    /// A program is no longer held; `failed` says why it did not come to its end.
    pub(super) fn program_over(&mut self, program: ProgramId, failed: Option<&str>) {
        if let Some(loaded) = self.programs.remove(&program) {
            self.uttered(&loaded.utterance, loaded.ordered, failed.map(str::to_owned));
        }
    }

    pub(super) fn feeder_gone(&mut self, program: ProgramId) {
        // One that had started is told by the engine; one that is not known was aborted.
        if self.programs.get(&program).is_some_and(|loaded| loaded.program.is_some()) {
            tracing::error!(%program, "a feeder ended before it began");
            self.lose(program, "internal error");
        }
    }

    /// A message was begun, or heard to its end.
    fn heard(&mut self, program: ProgramId, tag: u32) {
        let Some((number, is_end)) = feeder::message_of(tag) else { return };
        let Some(loaded) = self.programs.get_mut(&program) else { return };
        if is_end {
            if let Some(heard) = loaded.messages.remove(&number) {
                heard.all();
            }
        } else if let Some(heard) = loaded.messages.get_mut(&number) {
            heard.begins();
        }
    }

    pub(super) fn report(&mut self, report: Report) {
        match report {
            Report::Tag { program, tag: feeder::FIRST_SOUND, sent_at, .. } => {
                self.spoke(program_of(program), sent_at);
            }
            Report::Tag { program, tag, .. } if feeder::message_of(tag).is_some() => {
                self.heard(program_of(program), tag);
            }
            Report::Tag { program, tag, sent_at, .. } => {
                let program = program_of(program);
                self.decide(control::Event::Passed { program, tag, at: ntp(sent_at) });
            }
            Report::Finished { program, .. } => {
                let program = program_of(program);
                self.program_over(program, None);
                self.decide(control::Event::Finished { program });
            }
            Report::Abandoned { program, stream, .. } => {
                tracing::error!(%stream, "a feeder ended without an end");
                self.lose(program_of(program), "internal error");
            }
            Report::Stopped { program, at_samples, .. } => {
                let program = program_of(program);
                self.program_over(program, None);
                self.decide(control::Event::Stopped { program, at: at_samples });
            }
            Report::Starved { stream, program, at_samples } => {
                tracing::warn!(target: "engine", %stream, program = program.number(), at_samples, "audio came late");
            }
            Report::Digit { stream, event, duration_ms } => {
                tracing::debug!(target: "engine", %stream, event, duration_ms, "telephone-event");
            }
            Report::PeerLeft { stream } => {
                if let Some(session) = self.sessions.get(&stream).copied() {
                    self.decide(control::Event::MediaGone { session });
                }
            }
            Report::Gone { stream, stats } => {
                tracing::debug!(target: "engine", %stream, packets = stats.packets, "media stream ended");
                self.gone(stream, &stats);
            }
        }
    }
}
