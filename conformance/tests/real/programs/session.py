"""A session of Python's own smtplib and imaplib with the message store; every step is checked.

Arguments: LMTP port, IMAP port, user, password.
"""

import email
import imaplib
import io
import smtplib
import sys
import time
import wave
from email.message import EmailMessage

lmtp_port, imap_port, user, password = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]


def voice(subject, seconds=1):
    message = EmailMessage()
    message["From"] = "J\u00f6rg <4711@pbx.example>"
    message["To"] = user
    message["Subject"] = subject
    message["Date"] = "Sun, 29 Nov 2026 10:00:00 +0000"
    message["Message-ID"] = f"<{subject.encode().hex()}@pbx.example>"
    message["Message-Context"] = "voice-message"
    message.set_content("please call back\n.a line that begins with a dot\n")
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\1" * 8000 * seconds)
    message.add_attachment(sound.getvalue(), maintype="audio", subtype="x-wav", filename="msg.wav")
    return message


def ok(answer):
    status, data = answer
    assert status == "OK", answer
    return data


# Delivery.
with smtplib.LMTP("127.0.0.1", lmtp_port) as lmtp:
    lmtp.send_message(voice("Gr\u00fc\u00dfe"))
    lmtp.send_message(voice("second"))
    refused = lmtp.sendmail("a@b", ["nobody@there", user], voice("third").as_bytes())
    assert list(refused) == ["nobody@there"] and refused["nobody@there"][0] == 550, refused
    try:
        lmtp.sendmail("a@b", ["nobody@there"], b"x")
        raise AssertionError("a message for nobody was taken")
    except smtplib.SMTPRecipientsRefused:
        pass

# Log-in.
imap = imaplib.IMAP4("127.0.0.1", imap_port)
try:
    imap.login(user, "wrong")
    raise AssertionError("a wrong password was taken")
except imaplib.IMAP4.error as error:
    assert "AUTHENTICATIONFAILED" in str(error), error
imap.login(user, password)
names = [line.decode().split(' "/" ')[1] for line in ok(imap.list())]
assert names == ["INBOX", "Saved", "Sent", "Deleted", "Greetings"], names
assert b"MESSAGES 3 UNSEEN 3" in ok(imap.status("INBOX", "(MESSAGES UNSEEN)"))[0]

# Reading.
assert ok(imap.select("INBOX")) == [b"3"]
assert ok(imap.search(None, "UNSEEN")) == [b"1 2 3"]
assert ok(imap.search(None, "SUBJECT", '"second"')) == [b"2"]
assert ok(imap.search("UTF-8", "BODY", '"call back"', "SMALLER", "1000000")) == [b"1 2 3"]
assert ok(imap.search(None, "SENTON", "29-Nov-2026", "NOT", "FROM", "nobody")) == [b"1 2 3"]
envelope = ok(imap.fetch("1", "(ENVELOPE BODYSTRUCTURE RFC822.SIZE)"))[0]
assert b'"4711" "pbx.example"' in envelope and b'"audio" "x-wav"' in envelope, envelope
whole = ok(imap.fetch("1", "(BODY.PEEK[])"))[0][1]
assert f"RFC822.SIZE {len(whole)}".encode() in envelope, (len(whole), envelope)
parsed = email.message_from_bytes(whole)
parts = list(parsed.walk())
assert [part.get_content_type() for part in parts] == ["multipart/mixed", "text/plain", "audio/x-wav"]
assert "\n.a line that begins with a dot" in parts[1].get_payload(decode=True).decode()
assert parts[2].get_payload(decode=True)[:4] == b"RIFF"
assert ok(imap.fetch("1", "(FLAGS)")) == [b"1 (FLAGS ())"], "peeking marked it"
# In pieces it is the same, from the begin and from anywhere.
pieces = [ok(imap.fetch("1", f"(BODY.PEEK[2]<{at}.5000>)"))[0] for at in (0, 5000, 10_000, 15_000, 20_000, 25_000)]
assert pieces[1][0].startswith(b"1 (BODY[2]<5000> {5000}"), pieces[1][0]
sound = ok(imap.fetch("1", "(BODY.PEEK[2])"))[0][1]
assert len(sound) > 20_000 and b"".join(piece[1] for piece in pieces) == sound, len(sound)
assert ok(imap.fetch("1", "(BODY.PEEK[2]<5000.10>)"))[0][1] == sound[5000:5010]
assert ok(imap.fetch("2", "(BODY.PEEK[2]<0.10>)"))[0][1] == sound[:10]
assert ok(imap.fetch("2", "(BODY.PEEK[1]<0.10>)"))[0][1] != sound[:10]
part = ok(imap.fetch("1", "(BODY[2]<0.76>)"))[0][1]
assert part == whole[whole.index(b"UklGR"):][:76], part
assert ok(imap.fetch("1", "(FLAGS)")) == [b"1 (FLAGS (\\Seen))"]

# Decoded, as BINARY has it.
decoded = ok(imap.fetch("1", "(BINARY.PEEK[2]<0.4> BINARY.SIZE[2])"))
assert decoded[0][1] == b"RIFF" and b"BINARY.SIZE[2] 16044" in decoded[1], decoded
odd = b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: x-odd\r\n\r\nx\r\n"
appended = ok(imap.append("Sent", "", "", odd))[0]
ok(imap.select("Sent"))
uid_validity = imap.response("UIDVALIDITY")[1][0]
uid = ok(imap.uid("SEARCH", "ALL"))[0]
assert appended.startswith(b"[APPENDUID " + uid_validity + b" " + uid + b"] "), (appended, uid)
assert "UNKNOWN-CTE" in str(imap.fetch("1", "(BINARY.PEEK[1])")), "an encoding that nobody knows"
ok(imap.store("1", "+FLAGS.SILENT", "\\Deleted"))
ok(imap.expunge())
ok(imap.select("INBOX"))

# Flags, copies, moves.
assert ok(imap.store("2:3", "+FLAGS", "(\\Flagged)")) == [b"2 (FLAGS (\\Flagged))", b"3 (FLAGS (\\Flagged))"]
imap.store("2", "FLAGS.SILENT", "(\\Answered)")
assert ok(imap.fetch("2", "(FLAGS)")) == [b"2 (FLAGS (\\Answered))"]
copied = ok(imap.copy("1", "Saved"))[0]
assert copied.startswith(b"[COPYUID ") and copied.split()[2] == b"1", copied
copied_uid = copied.split()[3].rstrip(b"]")
ok(imap.uid("MOVE", "2", "Deleted"))
assert ok(imap.search(None, "ALL")) == [b"1 2"]
assert b"MESSAGES 1" in ok(imap.status("Saved", "(MESSAGES)"))[0]
ok(imap.select("Saved"))
assert ok(imap.uid("SEARCH", "ALL"))[0] == copied_uid, copied_uid
ok(imap.select("INBOX"))
uids = ok(imap.uid("SEARCH", "ALL"))[0].split()
assert uids == [b"1", b"3"], uids

# What was sent, with its date.
moment = imaplib.Time2Internaldate(837_596_665)
ok(imap.append("Sent", "\\Seen", moment, b"Subject: hi\r\n\r\nsent\r\n"))
ok(imap.select("Sent", readonly=True))
told = ok(imap.fetch("1", "(INTERNALDATE FLAGS)"))[0]
assert imaplib.Internaldate2tuple(told) == time.localtime(837_596_665) and b"\\Seen" in told, told
assert imap.store("1", "+FLAGS", "\\Deleted")[0] == "NO", "a folder that is only read was changed"

# Gone.
ok(imap.select("INBOX"))
ok(imap.store("1", "+FLAGS", "\\Deleted"))
assert ok(imap.expunge()) == [b"1"]
assert ok(imap.search(None, "ALL")) == [b"1"]
assert imap.create("Projects")[0] == "NO"
imap.logout()
print("all is well")
