/// Most bytes of a command without the literals that it may have.
pub const COMMAND_BYTES_MAX: usize = 64 << 10;
/// Most literals of a command.
const LITERALS_MAX: usize = 64;

/// What a client sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CommandFrame {
    /// A whole command, without its last line break and with its literals in it.
    Command(Vec<u8>),
    /// The client waits to be told that it may send a literal. RFC 9051 §4.3.
    Literal,
    /// A literal, or all of a command, is more than is taken. What of it comes unasked is passed over. With the line so
    /// far, for its tag.
    TooLarge(Vec<u8>),
}

/// A line is longer than [`COMMAND_BYTES_MAX`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LineTooLong;

/// Cuts the bytes of a client into commands.
#[derive(Clone, Debug)]
pub struct CommandFramer {
    pending: Vec<u8>,
    /// Up to where there is no line break in it.
    looked: usize,
    /// What of the command is there.
    command: Vec<u8>,
    literals: usize,
    /// Bytes of a literal that are still to come.
    literal: usize,
    /// Bytes that are still to be passed over.
    passed: u64,
    /// Whether what is left of the command is passed over.
    is_passed: bool,
    /// Most bytes of a literal, as long as that is known to be a message.
    literal_bytes_max: usize,
}

impl CommandFramer {
    /// For commands with literals of at most so many bytes; of other commands than APPEND at most [`COMMAND_BYTES_MAX`].
    #[must_use]
    pub const fn new(literal_bytes_max: usize) -> Self {
        Self {
            pending: Vec::new(),
            looked: 0,
            command: Vec::new(),
            literals: 0,
            literal: 0,
            passed: 0,
            is_passed: false,
            literal_bytes_max,
        }
    }

    /// From the next command on, literals of messages have at most so many bytes.
    pub const fn set_literal_bytes_max(&mut self, bytes: usize) {
        self.literal_bytes_max = bytes;
    }

    /// Takes bytes of the client.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// Bytes that came and belong to what is not whole yet.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.pending.len() + self.command.len()
    }

    /// Takes all bytes that came and belong to no command yet: what follows is something else, such as TLS.
    pub fn take_rest(&mut self) -> Vec<u8> {
        self.looked = 0;
        std::mem::take(&mut self.pending)
    }

    /// The next line as it is, without its line break: what follows a `+` for AUTHENTICATE or IDLE. `None` while it is not
    /// there; `Err` when it is longer than a command may be.
    ///
    /// # Errors
    /// It is too long.
    pub fn line(&mut self) -> Result<Option<Vec<u8>>, LineTooLong> {
        match self.line_end() {
            Some(end) if end <= COMMAND_BYTES_MAX => {
                let mut line: Vec<u8> = self.pending.drain(..=end).collect();
                self.looked = 0;
                trim(&mut line);
                Ok(Some(line))
            }
            None if self.pending.len() <= COMMAND_BYTES_MAX => Ok(None),
            Some(_) | None => Err(LineTooLong),
        }
    }

    /// Where the first line break is; each byte is looked at once.
    fn line_end(&mut self) -> Option<usize> {
        let rest = self.pending.get(self.looked..).unwrap_or_default();
        let end = memchr::memchr(b'\n', rest).map(|at| self.looked + at);
        self.looked = end.unwrap_or(self.pending.len());
        end
    }

    /// Goes on until there is something to be told. A loop, not a call of itself: whoever sends decides how often.
    fn step(&mut self) -> Option<CommandFrame> {
        loop {
            if !self.pass() {
                return None;
            }
            match self.take_line() {
                Step::More => {}
                Step::Wait => return None,
                Step::Done(frame) => return Some(frame),
            }
        }
    }

    /// Passes over what is not wanted and takes what of a literal is there; whether a line comes next.
    fn pass(&mut self) -> bool {
        if self.passed > 0 {
            let count = self.pending.len().min(usize::try_from(self.passed).unwrap_or(usize::MAX));
            self.pending.drain(..count);
            self.looked = 0;
            self.passed -= count as u64;
        }
        if self.passed == 0 && self.literal > 0 {
            let count = self.pending.len().min(self.literal);
            self.command.extend(self.pending.drain(..count));
            self.looked = 0;
            self.literal -= count;
        }
        self.passed == 0 && self.literal == 0
    }

    fn take_line(&mut self) -> Step {
        let room = COMMAND_BYTES_MAX;
        let Some(end) = self.line_end() else {
            if self.pending.len() > room {
                let line = self.take_rest();
                if !self.is_passed {
                    self.is_passed = true;
                    return Step::Done(self.refuse(&line));
                }
            }
            return Step::Wait;
        };
        let mut line: Vec<u8> = self.pending.drain(..=end).collect();
        self.looked = 0;
        let told = announced(&line);
        if std::mem::take(&mut self.is_passed) {
            // The end of what was refused; a literal that was announced on it comes, too.
            self.pass_unasked(told);
            return Step::More;
        }
        if line.len() > room {
            self.pass_unasked(told);
            return Step::Done(self.refuse(&line));
        }
        let Some((length, announced)) = told else {
            trim(&mut line);
            let mut command = std::mem::take(&mut self.command);
            command.append(&mut line);
            self.literals = 0;
            return Step::Done(CommandFrame::Command(command));
        };
        let begun = self.command.len() + line.len();
        let is_message = self.command.is_empty() && is_append(&line) || is_append(&self.command);
        let most = if is_message { self.literal_bytes_max } else { room.saturating_sub(begun) };
        self.literals += 1;
        let fits = usize::try_from(length).ok().filter(|length| *length <= most);
        let fits = fits.filter(|_| self.literals <= LITERALS_MAX && self.held() < most + 2 * room);
        let Some(length) = fits else {
            self.pass_unasked(told);
            return Step::Done(self.refuse(&line));
        };
        self.command.append(&mut line);
        self.literal = length;
        match announced {
            Announced::Asked => Step::Done(CommandFrame::Literal),
            Announced::Unasked => Step::More,
        }
    }

    fn pass_unasked(&mut self, told: Option<(u64, Announced)>) {
        if let Some((length, Announced::Unasked)) = told {
            self.passed = length;
            self.is_passed = true;
        }
    }

    /// With the begin of the command, in which its tag is.
    fn refuse(&mut self, line: &[u8]) -> CommandFrame {
        let mut command = std::mem::take(&mut self.command);
        command.extend_from_slice(line.get(..256).unwrap_or(line));
        command.truncate(256);
        self.literals = 0;
        self.literal = 0;
        CommandFrame::TooLarge(command)
    }
}

/// What a line came to.
enum Step {
    More,
    Wait,
    Done(CommandFrame),
}

impl Iterator for CommandFramer {
    type Item = CommandFrame;

    /// The next frame, once it is there.
    fn next(&mut self) -> Option<CommandFrame> {
        self.step()
    }
}

/// Whether the client waits before it sends a literal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Announced {
    Asked,
    Unasked,
}

/// The length of the literal that a line announces at its end: `{5}`, `{5+}`.
fn announced(line: &[u8]) -> Option<(u64, Announced)> {
    let line = line.strip_suffix(b"\n")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line).strip_suffix(b"}")?;
    let (line, announced) = match line.strip_suffix(b"+") {
        Some(line) => (line, Announced::Unasked),
        None => (line, Announced::Asked),
    };
    let open = line.iter().rposition(|byte| *byte == b'{')?;
    let digits = std::str::from_utf8(line.get(open + 1..)?).ok()?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let length = digits.parse().unwrap_or(u64::MAX);
    is_number.then_some((length, announced))
}

fn trim(line: &mut Vec<u8>) {
    for byte in [b'\n', b'\r'] {
        if line.last() == Some(&byte) {
            line.pop();
        }
    }
}

/// Whether a command takes a message.
fn is_append(command: &[u8]) -> bool {
    let mut words = command.splitn(3, |byte| *byte == b' ');
    words.nth(1).is_some_and(|word| word.eq_ignore_ascii_case(b"APPEND"))
}

/// What a server sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ResponseFrame {
    /// A whole response, without its last line break and with its literals in it.
    Response(Vec<u8>),
    /// It is longer than is taken; nothing that follows can be understood.
    TooLarge,
}

/// Cuts the bytes of a server into responses.
#[derive(Clone, Debug)]
pub struct ResponseFramer {
    pending: Vec<u8>,
    /// Where the line that is looked for begins, after the literals that are whole.
    line: usize,
    /// Up to where there is no line break.
    looked: usize,
    response_bytes_max: usize,
    is_broken: bool,
}

impl ResponseFramer {
    /// For responses of at most so many bytes.
    #[must_use]
    pub const fn new(response_bytes_max: usize) -> Self {
        Self { pending: Vec::new(), line: 0, looked: 0, response_bytes_max, is_broken: false }
    }

    /// Takes bytes of the server.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// Whether nothing is there that is not whole.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

impl Iterator for ResponseFramer {
    type Item = ResponseFrame;

    fn next(&mut self) -> Option<ResponseFrame> {
        if self.is_broken {
            return None;
        }
        loop {
            let from = self.line.max(self.looked);
            let rest = self.pending.get(from..);
            let end = rest.and_then(|rest| memchr::memchr(b'\n', rest));
            let Some(end) = end else {
                self.looked = self.pending.len();
                if self.pending.len() > self.response_bytes_max {
                    self.is_broken = true;
                    return Some(ResponseFrame::TooLarge);
                }
                return None;
            };
            let end = from + end + 1;
            let line = self.pending.get(self.line..end).unwrap_or_default();
            if let Some((length, _)) = announced(line) {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                self.line = end.saturating_add(length);
                if self.line > self.response_bytes_max {
                    self.is_broken = true;
                    return Some(ResponseFrame::TooLarge);
                }
                continue;
            }
            let mut response: Vec<u8> = self.pending.drain(..end).collect();
            (self.line, self.looked) = (0, 0);
            trim(&mut response);
            return Some(ResponseFrame::Response(response));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_often_a_refused_command_announces_more_nothing_piles_up() {
        let mut text = "x".repeat(COMMAND_BYTES_MAX + 1);
        text.push_str(&"{0+}\n".repeat(20_000));
        text.push_str("\na NOOP\n");
        let mut framer = CommandFramer::new(100);
        framer.push(text.as_bytes());
        let all: Vec<_> = framer.collect();
        assert!(matches!(all.as_slice(), [CommandFrame::TooLarge(_), CommandFrame::Command(_)]));
        // What a line announced that was too long itself is no command.
        let mut framer = CommandFramer::new(100);
        let long = "x".repeat(COMMAND_BYTES_MAX);
        framer.push(format!("a {long} {{8+}}\nb LOGOUT\nc NOOP\n").as_bytes());
        let all: Vec<_> = framer.collect();
        let [CommandFrame::TooLarge(_), CommandFrame::Command(last)] = all.as_slice() else {
            panic!("{} frames", all.len());
        };
        assert_eq!(last, b"c NOOP");
    }

    fn frames(text: &str) -> Vec<String> {
        let read = |piece: usize| {
            let mut framer = CommandFramer::new(100);
            let mut all = Vec::new();
            for bytes in text.as_bytes().chunks(piece) {
                framer.push(bytes);
                for frame in framer.by_ref() {
                    all.push(match frame {
                        CommandFrame::Command(bytes) => String::from_utf8(bytes).unwrap(),
                        CommandFrame::Literal => "+".to_owned(),
                        CommandFrame::TooLarge(line) => {
                            let line = String::from_utf8_lossy(&line);
                            format!("too large {}", line.split(' ').next().unwrap())
                        }
                    });
                }
            }
            all
        };
        let all = read(text.len());
        assert_eq!(read(1), all);
        all
    }

    #[test]
    fn commands_are_cut_with_their_literals() {
        assert_eq!(frames("a NOOP\r\nb NOOP\n"), ["a NOOP", "b NOOP"]);
        assert_eq!(
            frames("a LOGIN {4}\r\nanna {2+}\r\npw\r\nb NOOP\r\n"),
            ["+", "a LOGIN {4}\r\nanna {2+}\r\npw", "b NOOP"]
        );
        assert_eq!(frames("a X {0}\r\n\r\n"), ["+", "a X {0}\r\n"]);
        assert_eq!(frames("a APPEND INBOX {3}\r\n{9}\r\n"), ["+", "a APPEND INBOX {3}\r\n{9}"]);
    }

    #[test]
    fn what_is_too_large_is_refused_and_passed_over() {
        assert_eq!(frames("a APPEND x {101}\r\nb NOOP\r\n"), ["too large a", "b NOOP"]);
        let unasked = format!("a APPEND x {{101+}}\r\n{}\r\nb NOOP\r\n", "y".repeat(101));
        assert_eq!(frames(&unasked), ["too large a", "b NOOP"]);
        let long = format!("a LOGIN {}\r\nb NOOP\r\n", "y".repeat(COMMAND_BYTES_MAX + 1));
        assert_eq!(frames(&long), ["too large a", "b NOOP"]);
        let many =
            format!("a X {}{}\r\nb NOOP\r\n", "{1+}\r\nx ".repeat(LITERALS_MAX), "{1+}\r\nx");
        assert_eq!(frames(&many), ["too large a", "b NOOP"]);
        assert_eq!(
            frames("a APPEND x {99999999999999999999999}\r\nb NOOP\r\n"),
            ["too large a", "b NOOP"]
        );
    }

    #[test]
    fn responses_are_cut_with_their_literals() {
        let text = "* OK hi\r\n* 1 FETCH (BODY[] {3}\r\na\r\n UID 5)\r\na OK done\r\n";
        for piece in [1, 3, text.len()] {
            let mut framer = ResponseFramer::new(1_000);
            let mut all = Vec::new();
            for bytes in text.as_bytes().chunks(piece) {
                framer.push(bytes);
                all.extend(framer.by_ref());
            }
            let expected = ["* OK hi", "* 1 FETCH (BODY[] {3}\r\na\r\n UID 5)", "a OK done"];
            let expected = expected.map(|text| ResponseFrame::Response(text.as_bytes().to_vec()));
            assert_eq!(all, expected);
        }
        let mut framer = ResponseFramer::new(10);
        framer.push(b"* 1 FETCH (BODY[] {99999999}\r\n");
        assert_eq!(framer.next(), Some(ResponseFrame::TooLarge));
        assert_eq!(framer.next(), None);
    }
}
