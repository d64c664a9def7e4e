//! What each verb does, and prints.

use super::*;

impl Opened {
    pub(super) fn run(&self, asked: &Arguments, input: &str) -> Outcome {
        let json = asked.json;
        match &asked.verb {
            Verb::Init => Ok(Exit::Done),
            Verb::Import { file, release_others, dry_run } => {
                self.import((file, input), [*release_others, *dry_run], json)
            }
            Verb::Create { address } => self.create(address, json),
            Verb::List { unused, days, deleted } => {
                let days = unused.then(|| days.unwrap_or(self.unused_days));
                self.list(days, *deleted, json)
            }
            Verb::Show { address } => self.show(address, json),
            Verb::Rename { address, name } => {
                self.store.rename(&unique(address)?, name)?;
                self.show(address, json)
            }
            Verb::Bound { address, messages, bytes } => {
                let unique = unique(address)?;
                let now = self.store.mailbox(&unique)?;
                let messages = messages.map_or(now.quota_messages, Quota::number);
                let bytes = bytes.map_or(now.quota_bytes, Quota::number);
                self.store.bound(&unique, messages, bytes)?;
                self.show(address, json)
            }
            Verb::Password { address, remove } => {
                let unique = unique(address)?;
                let hash = (!remove).then(|| input.to_owned());
                self.store.set_password_hash(&unique, hash)?;
                self.show(address, json)
            }
            Verb::Email { address, to, send, after, agree_with, remove } => {
                let rule = to.clone().map(|address| EmailRule {
                    address,
                    send: *send,
                    after: *after,
                    from_uid: 0,
                    uid_validity: 0,
                    agree_with: agree_with.clone(),
                });
                if *remove || rule.is_some() {
                    self.send_on(&unique(address)?, rule)?;
                }
                self.show(address, json)
            }
            Verb::Delete { addresses } => self.delete(addresses, json),
            Verb::Restore { address } => {
                self.store.restore(&unique(address)?)?;
                self.show(address, json)
            }
            Verb::Purge { addresses, yes } => self.purge(addresses, *yes, json),
            Verb::Messages { address, folder, unread, search, limit } => {
                let query = Query {
                    folder: *folder,
                    unread: *unread,
                    search: search.clone(),
                    ..Query::default()
                };
                self.messages(&unique(address)?, query, limit.unwrap_or(usize::MAX), json)
            }
            Verb::Send { addresses, subject, text, audio, attach } => {
                let draft = self.draft(subject, text, audio.as_deref(), attach)?;
                self.send(addresses, &draft, json)
            }
            Verb::Check { addresses } => self.check(addresses, Repair::No, json),
            Verb::Repair { addresses } => self.check(addresses, Repair::Yes, json),
            Verb::Export { address, to } => self.export(address, to, json),
            Verb::Stats => self.stats(json),
            Verb::Move { to } => self.move_to(to, json),
        }
    }

    /// Lets the messages of a mailbox go on by a rule, or not any more.
    fn send_on(&self, unique: &Unique, rule: Option<EmailRule>) -> Result<(), Failure> {
        if let (Some(rule), Some(servers)) = (&rule, &self.servers) {
            if let Some(with) = &rule.agree_with
                && !servers.contains(&with.server)
            {
                let known = if servers.is_empty() { "none".into() } else { servers.join(", ") };
                let why = format!("mail.servers has no {}; it has: {known}", with.server);
                return Err(Failure(why));
            }
            if !self.has_relays {
                eprintln!("nothing goes on by e-mail before there is one of mail.relays");
            }
        }
        Ok(self.store.set_email_rule(unique, rule)?)
    }

    fn import(&self, (file, text): (&Path, &str), options: [bool; 2], json: bool) -> Outcome {
        let [release_others, dry_run] = options;
        let users = match NewUser::parse_list(text) {
            Ok(users) => users,
            Err(faults) => {
                if json {
                    say!("{}", json!({ "faults": faults }));
                } else {
                    let name = file.display();
                    faults.iter().for_each(|fault| eprintln!("{name}: {fault}"));
                    eprintln!("nobody was imported");
                }
                return Ok(Exit::Usage);
            }
        };
        if users.is_empty() && release_others {
            return Err(Failure(
                "there are no users in it: --release-others would take the user from every mailbox"
                    .to_owned(),
            ));
        }
        if dry_run {
            if json {
                say!("{}", json!({ "users": users.len() }));
            } else {
                say!("{} users; nothing was done", users.len());
            }
            return Ok(Exit::Done);
        }
        let (mut made, mut changed, mut kept, mut released) = (0, 0, 0, 0);
        let mut tell = progress("importing");
        let of = u64::try_from(users.len()).unwrap_or(u64::MAX);
        for (done, user) in (1..).zip(&users) {
            match self.store.import(user)? {
                UserOutcome::Made => made += 1,
                UserOutcome::Changed => changed += 1,
                UserOutcome::Kept => kept += 1,
            }
            tell(done, of);
        }
        if release_others {
            let known: std::collections::BTreeSet<_> =
                users.iter().filter_map(|user| Unique::parse(&user.unique).ok()).collect();
            for unique in self.store.uniques()? {
                if !known.contains(&unique) && self.store.mailbox(&unique)?.has_user {
                    self.store.release_user(&unique)?;
                    released += 1;
                }
            }
        }
        if json {
            say!(
                "{}",
                json!({ "made": made, "changed": changed, "kept": kept, "released": released })
            );
        } else {
            say!(
                "{made} made, {changed} changed, {kept} as they were, {released} without a user now"
            );
        }
        Ok(Exit::Done)
    }

    fn create(&self, address: &str, json: bool) -> Outcome {
        let address =
            Address::parse(address).map_err(|error| Failure(format!("{address:?}: {error}")))?;
        self.store.create(&address)?;
        if json {
            say!("{}", json!(self.store.mailbox(&address.unique)?));
        } else {
            say!("{}", self.store.resolve(&address.unique)?);
        }
        Ok(Exit::Done)
    }

    fn list(&self, unused_days: Option<u32>, deleted: bool, json: bool) -> Outcome {
        let mut found = Vec::new();
        for unique in self.store.uniques()? {
            let mailbox = match self.store.mailbox(&unique) {
                Ok(mailbox) => mailbox,
                Err(MailError::NoSuchMailbox(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            let is_wanted = mailbox.deleted.is_some() == deleted
                && unused_days.is_none_or(|days| self.store.is_unused(&mailbox, days));
            if is_wanted {
                found.push(mailbox);
            }
        }
        if json {
            say!("{}", json!(found));
            return Ok(Exit::Done);
        }
        let head = ["UNIQUE", "NAME", "NEW", "MESSAGES", "BYTES", "LAST MESSAGE (UTC)", "STATE"];
        let rows: Vec<_> =
            std::iter::once(head.map(str::to_owned)).chain(found.iter().map(line)).collect();
        print(&columns(&rows))?;
        Ok(Exit::Done)
    }

    fn show(&self, address: &str, json: bool) -> Outcome {
        let mailbox = self.store.mailbox(&unique(address)?)?;
        if json {
            say!("{}", json!(mailbox));
            return Ok(Exit::Done);
        }
        let none = || "-".to_owned();
        let bound = |bound: Option<u64>| match bound {
            None => "as for everybody".to_owned(),
            Some(0) => "none".to_owned(),
            Some(most) => most.to_string(),
        };
        let email = mailbox.email.as_ref().map_or_else(none, |rule| {
            let with = rule.agree_with.as_ref().map(|with| format!(", agrees with {with}"));
            let (send, after) = (rule.send.word(), rule.after.word());
            format!("{}: {send}, then {after}{}", rule.address, with.unwrap_or_default())
        });
        let counts = mailbox.counts.unwrap_or_default();
        let tally = |tally: mailbox::Tally| format!("{} new, {} old", tally.new, tally.old);
        let rows = [
            ["address", &mailbox.address],
            ["folder", &mailbox.folder],
            ["state", state(&mailbox)],
            ["made", &mailbox.created],
            ["damage", mailbox.damaged.as_deref().unwrap_or("-")],
            ["IMAP password", if mailbox.has_password { "set" } else { "none" }],
            ["sent on to", &email],
            ["last log-in", &mailbox.last_login.clone().unwrap_or_else(none)],
            ["last message", &mailbox.last_received.clone().unwrap_or_else(none)],
            ["voice", &tally(counts.voice)],
            ["fax", &tally(counts.fax)],
            ["text", &tally(counts.text)],
            ["messages", &counts.messages.to_string()],
            ["bytes", &counts.bytes.to_string()],
            ["in the spool", &mailbox.spooled.to_string()],
            ["most messages", &bound(mailbox.quota_messages)],
            ["most bytes", &bound(mailbox.quota_bytes)],
        ];
        print(&columns(&rows.map(|row| row.map(str::to_owned))))?;
        Ok(Exit::Done)
    }

    fn delete(&self, addresses: &[String], json: bool) -> Outcome {
        // None is deleted when one of them is nonsense.
        let uniques: Vec<_> =
            addresses.iter().map(|address| unique(address)).collect::<Result<_, _>>()?;
        for unique in &uniques {
            self.store.delete(unique)?;
            if !json {
                say!("{unique} was deleted; `entracte mailbox purge` takes its data away");
            }
        }
        if json {
            let deleted: Vec<_> = uniques.iter().map(Unique::as_str).collect();
            say!("{}", json!({ "deleted": deleted }));
        }
        Ok(Exit::Done)
    }

    fn purge(&self, addresses: &[String], yes: bool, json: bool) -> Outcome {
        let chosen = if addresses.is_empty() {
            let mut deleted = self.store.uniques()?;
            deleted
                .retain(|unique| matches!(self.store.resolve(unique), Err(MailError::Deleted(_))));
            deleted
        } else {
            addresses.iter().map(|address| unique(address)).collect::<Result<_, _>>()?
        };
        let mut done = Vec::new();
        let mut exit = Exit::Done;
        for unique in &chosen {
            let purged =
                if yes { self.store.purge(unique) } else { self.store.purge_would(unique) };
            match purged {
                Ok(purged) => done.push(purged),
                // The others go all the same.
                Err(error) => {
                    eprintln!("entracte: {unique}: {}", told(&error));
                    exit = Exit::Failed;
                }
            }
        }
        if json {
            say!("{}", json!({ "done": yes, "mailboxes": done }));
            return Ok(exit);
        }
        for one in &done {
            say!("{}: {} files, {} bytes", one.unique, one.files, one.bytes);
        }
        let bytes: u64 = done.iter().map(|one| one.bytes).sum();
        if yes {
            say!("{} mailboxes and {bytes} bytes are gone", done.len());
        } else {
            say!("{} mailboxes and {bytes} bytes would go; --yes does it", done.len());
        }
        Ok(exit)
    }

    fn messages(&self, unique: &Unique, mut query: Query, limit: usize, json: bool) -> Outcome {
        let mut rows: Vec<Row> = Vec::new();
        let mut next: Option<Cursor> = None;
        loop {
            query.after = next;
            query.limit = (limit - rows.len()).min(mailbox::PAGE_MAX);
            if query.limit == 0 {
                break;
            }
            let page = self.store.list(unique, &query)?;
            rows.extend(page.rows);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        if json {
            say!("{}", json!(rows));
            return Ok(Exit::Done);
        }
        let head =
            ["RECEIVED (UTC)", "FOLDER", "", "TYPE", "SECONDS", "BYTES", "FROM", "ID", "SUBJECT"];
        let row = |row: &Row| {
            [
                Moment::from_micros(row.at).to_string().chars().take(19).collect(),
                row.folder.word().to_owned(),
                if row.marks.read { "" } else { "new" }.to_owned(),
                row.kind.word().to_owned(),
                row.duration_ms.map(|ms| ms.div_ceil(1_000).to_string()).unwrap_or_default(),
                row.bytes.to_string(),
                plain(if row.from.is_empty() { &row.number } else { &row.from }),
                row.id.to_string(),
                plain(&row.subject),
            ]
        };
        let rows: Vec<_> =
            std::iter::once(head.map(str::to_owned)).chain(rows.iter().map(row)).collect();
        print(&columns(&rows))?;
        Ok(Exit::Done)
    }

    fn draft(
        &self,
        subject: &str,
        text: &str,
        audio: Option<&Path>,
        attach: &[PathBuf],
    ) -> Result<Draft, Failure> {
        let kind = if audio.is_some() { Kind::Voice } else { Kind::Text };
        let (subject, body) = (subject.to_owned(), text.to_owned());
        let mut draft = Draft { subject, body, ..Draft::new(kind) };
        let named = |path: &Path, error: &dyn std::error::Error| {
            Failure(format!("{}: {error}", path.display()))
        };
        if let Some(path) = audio {
            let bytes = std::fs::read(path).map_err(|error| named(path, &error))?;
            let spoken = mailbox::compressed(bytes, "", self.store.compression());
            let spoken = spoken.map_err(|error| named(path, &error))?;
            draft.duration_ms = spoken.duration_ms;
            draft.attachments.push(spoken);
        }
        for path in attach {
            let about = std::fs::metadata(path).map_err(|error| named(path, &error))?;
            if !about.is_file() {
                return Err(Failure(format!("{}: it is no file", path.display())));
            }
            std::fs::File::open(path).map_err(|error| named(path, &error))?;
            draft.attachments.push(NewAttachment {
                media_type: media_type_of(path).to_owned(),
                codec: String::new(),
                duration_ms: None,
                title: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                peaks: Vec::new(),
                content: Content::File(path.clone()),
            });
        }
        Ok(draft)
    }

    fn send(&self, addresses: &[String], draft: &Draft, json: bool) -> Outcome {
        draft.check_texts().map_err(MailError::Limit)?;
        if draft.subject.is_empty() && draft.body.is_empty() && draft.attachments.is_empty() {
            return Err(Failure(
                "there is nothing to send: --text, --audio or --attach".to_owned(),
            ));
        }
        let to: Vec<_> = addresses
            .iter()
            .map(|text| Address::parse(text).map_err(|error| Failure(format!("{text:?}: {error}"))))
            .collect::<Result<_, _>>()?;
        let mut exit = Exit::Done;
        let mut all = Vec::new();
        for (address, done) in addresses.iter().zip(self.store.deliver(draft, &to)) {
            match done {
                Ok(receipt) if json => all.push(json!({ "to": address, "id": receipt.id })),
                Ok(receipt) => say!("{address}: {}", receipt.id),
                Err(error) => {
                    eprintln!("entracte: {address}: {}", told(&error));
                    all.push(json!({ "to": address, "error": told(&error) }));
                    exit = Exit::Failed;
                }
            }
        }
        if json {
            say!("{}", json!(all));
        }
        Ok(exit)
    }

    fn check(&self, addresses: &[String], repair: Repair, json: bool) -> Outcome {
        let chosen = if addresses.is_empty() {
            self.store.uniques()?
        } else {
            addresses.iter().map(|address| unique(address)).collect::<Result<_, _>>()?
        };
        let mut tell = progress("reading");
        let of = u64::try_from(chosen.len()).unwrap_or(u64::MAX);
        let mut all: Vec<Checked> = Vec::new();
        let mut missed = 0;
        for (done, unique) in (1..).zip(&chosen) {
            match self.store.check(unique, repair) {
                Ok(checked) => all.push(checked),
                // Deleted or purged; or a later version's, of which the list tells.
                Err(MailError::Deleted(_) | MailError::NoSuchMailbox(_))
                    if addresses.is_empty() => {}
                // The others are looked at all the same.
                Err(error @ (MailError::LaterMailbox(_) | MailError::Busy(_))) => {
                    eprintln!("entracte: {unique}: {error}");
                    missed += 1;
                }
                Err(error) => return Err(Failure(format!("{unique}: {}", told(&error)))),
            }
            tell(done, of);
        }
        let faults: usize = all.iter().map(|one| one.faults.len()).sum();
        let left = all.iter().flat_map(|one| &one.faults).filter(|fault| !fault.mended).count();
        let messages: u64 = all.iter().map(|one| one.messages).sum();
        let bytes: u64 = all.iter().map(|one| one.bytes).sum();
        if json {
            let answer =
                json!({ "mailboxes": all, "faults": faults, "left": left, "missed": missed });
            say!("{answer}");
            return Ok(if left + missed == 0 { Exit::Done } else { Exit::Failed });
        }
        for one in &all {
            for fault in &one.faults {
                let mended = if fault.mended { " (mended)" } else { "" };
                say!("{}: {}: {}{mended}", one.unique, fault.file, fault.what);
            }
            if one.quarantined > 0 {
                let (unique, files) = (&one.unique, one.quarantined);
                say!("{unique}: {files} files in quarantine; their notes say why");
            }
        }
        let unfinished: u64 = all.iter().map(|one| one.unfinished).sum();
        if unfinished > 0 {
            say!("{unfinished} files of deliveries that are under way or were interrupted today");
        }
        say!(
            "{} mailboxes, {messages} messages, {bytes} bytes read: {faults} faults, {} mended",
            all.len(),
            faults - left
        );
        if missed > 0 {
            say!("{missed} mailboxes were not looked at");
        }
        Ok(if left + missed == 0 { Exit::Done } else { Exit::Failed })
    }

    fn export(&self, address: &str, to: &Path, json: bool) -> Outcome {
        let exported = self.store.export(&unique(address)?, to)?;
        if json {
            say!("{}", json!(exported));
        } else {
            let mailbox::Exported { messages, files, bytes, faults } = &exported;
            for fault in faults {
                eprintln!("entracte: {}: {}", fault.file, fault.what);
            }
            say!("{messages} messages, {files} files, {bytes} bytes in {}", to.display());
        }
        Ok(if exported.faults.is_empty() { Exit::Done } else { Exit::Failed })
    }

    fn stats(&self, json: bool) -> Outcome {
        let stats = self.store.stats(&mut progress("reading"))?;
        let nodes = self.store.nodes()?;
        if json {
            say!("{}", json!({ "store": stats, "nodes": nodes }));
            return Ok(Exit::Done);
        }
        let mut rows = vec![
            ["mailboxes".to_owned(), stats.mailboxes.to_string()],
            ["with a user".to_owned(), stats.users.to_string()],
            ["deleted, not purged".to_owned(), stats.deleted.to_string()],
            ["damaged".to_owned(), stats.damaged.to_string()],
            ["lamps lit".to_owned(), stats.waiting.to_string()],
            ["messages".to_owned(), stats.messages.to_string()],
            ["bytes".to_owned(), stats.bytes.to_string()],
        ];
        rows.extend(
            stats.folders.iter().map(|(folder, n)| [format!("in {folder}"), n.to_string()]),
        );
        for node in nodes.iter().filter(|node| !node.is_this) {
            let alive = if node.is_alive { "alive" } else { "dead" };
            rows.push([format!("node {}", node.node), format!("{alive}, on {}", node.host)]);
        }
        print(&columns(&rows))?;
        Ok(Exit::Done)
    }

    fn move_to(&self, to: &Path, json: bool) -> Outcome {
        let moved = self.store.move_here(to, &mut progress("copying"))?;
        if json {
            say!("{}", json!(moved));
        } else {
            say!(
                "{} files and {} bytes copied, {} were there; set mail.root = {:?}",
                moved.copied,
                moved.bytes,
                moved.kept,
                to
            );
        }
        Ok(Exit::Done)
    }
}

/// A text on one line, and in its own direction.
fn plain(text: &str) -> String {
    let turns = ['\u{202a}'..='\u{202e}', '\u{2066}'..='\u{2069}'];
    let is_odd = |c: char| c.is_control() || turns.iter().any(|turn| turn.contains(&c));
    text.replace(is_odd, " ")
}

/// What a file is, by its name.
fn media_type_of(path: &Path) -> &'static str {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    match &*extension {
        "pdf" => "application/pdf",
        "tif" | "tiff" => "image/tiff",
        "jpg" | "jpeg" => "image/jpeg",
        "txt" => "text/plain",
        "wav" => "audio/x-wav",
        "ogg" | "opus" => "audio/ogg",
        "mp3" => "audio/mpeg",
        _ => "application/octet-stream",
    }
}

fn state(mailbox: &Mailbox) -> &'static str {
    match (&mailbox.deleted, mailbox.has_user) {
        _ if mailbox.damaged.is_some() => "damaged",
        (Some(_), _) => "deleted",
        (None, true) => "in use",
        (None, false) => "no user",
    }
}

fn line(mailbox: &Mailbox) -> [String; 7] {
    let counts = mailbox.counts.map(|counts| {
        let new = counts.voice.new + counts.fax.new + counts.text.new;
        [new.to_string(), counts.messages.to_string(), counts.bytes.to_string()]
    });
    // What is not known is not zero.
    let [new, messages, bytes] = counts.unwrap_or_else(|| ["?", "?", "?"].map(str::to_owned));
    let last = mailbox.last_received.as_deref().unwrap_or("-");
    [
        mailbox.unique.clone(),
        mailbox.friendly.clone(),
        new,
        messages,
        bytes,
        last.chars().take(19).collect(),
        state(mailbox).to_owned(),
    ]
}
