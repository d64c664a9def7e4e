//! The machine as its peers see it: steps and what they bring about.

use crate::testbed::Stand;

mod calls;
mod speaking;

/// Each row is a step and what it brings about; afterwards nothing may be left.
#[track_caller]
fn check(rows: &[(&str, &str)]) {
    check_on(Stand::new(), rows);
}

#[track_caller]
fn check_on(mut stand: Stand, rows: &[(&str, &str)]) {
    let told: Vec<_> = rows.iter().map(|(step, _)| (*step, stand.step(step))).collect();
    let (mut wrong, mut table) = (false, String::new());
    for ((step, expected), (_, told)) in rows.iter().zip(&told) {
        table += &format!("    {step}\n        {told}\n");
        if told != expected {
            wrong = true;
            table += &format!("    NOT {expected}\n");
        }
    }
    assert!(!wrong, "\n{table}");
    stand.ends_empty();
}

/// A call with a `speechsynth`.
const SPEECH: (&str, &str) = (
    "invite mrcp@10.0.0.2 audio speechsynth",
    "open 10.0.0.1:4000 Mu sendrecv | 200 [20000 audio sendrecv] [8104 speechsynth]",
);
