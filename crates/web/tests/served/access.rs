//! Who is let in to what: over a real socket, as clients of all kinds try it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::made::{Made, PASSWORD, TOKEN, options};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

struct Server {
    address: SocketAddr,
    made: Made,
    serving: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let wanted = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&wanted))
    }

    fn cookie(&self) -> String {
        self.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
    }
}

impl Server {
    async fn start(made: Made) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = web::router(Arc::new(made.clone()), options());
        Self { address, made, serving: tokio::spawn(web::serve(listener, router, None)) }
    }

    async fn ask(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.raw(request.as_bytes()).await
    }

    async fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        // A server that refuses a body it did not read may reset the connection behind its answer.
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    async fn log_in(&self, user: &str, password: &str) -> Answer {
        let body = format!("user={user}&password={}", password.replace(' ', "+"));
        self.ask("POST", "/login", &[OURS], &body).await
    }

    async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.ask("GET", path, &[&format!("Cookie: {cookie}")], "").await
    }
}

const OURS: &str = "Sec-Fetch-Site: same-origin";

#[tokio::test]
async fn nothing_is_told_to_who_is_not_known() {
    let server = Server::start(Made::default()).await;
    for path in ["/overview", "/status/server", "/config/general", "/listen/Radio"] {
        let answer = server.ask("GET", path, &[], "").await;
        assert_eq!(answer.status, 303, "{path}");
        assert!(answer.header("location").unwrap().starts_with("/login?next="), "{path}");
        assert!(answer.body.is_empty());
    }
    for path in ["/api/v1/calls", "/api/v1/sources/Radio"] {
        let answer = server.ask("GET", path, &[OURS], "").await;
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.header("www-authenticate").unwrap().contains("Bearer"), "{path}");
    }
    // A browser that was logged out meanwhile is led to the log-in, and asked for nothing by itself.
    for path in ["/config/general", "/config/reload", "/logout"] {
        let answer = server.ask("POST", path, &[OURS], "").await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/login")), "{path}");
        assert_eq!(answer.header("www-authenticate"), None, "{path}");
    }
    assert_eq!(server.ask("GET", "/live/server", &[], "").await.status, 401);
    for path in ["/healthz", "/login", "/metrics"] {
        assert_eq!(server.ask("GET", path, &[], "").await.status, 200, "{path}");
    }
    assert_eq!(server.ask("GET", "/setup?token=guess", &[], "").await.status, 403);
}

#[tokio::test]
async fn a_stolen_cookie_is_worth_nothing_after_log_out() {
    let server = Server::start(Made::default()).await;
    let answer = server.log_in("ada", PASSWORD).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/status/about")));
    let set = answer.header("set-cookie").unwrap();
    for word in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(set.contains(word), "{set}");
    }
    let cookie = answer.cookie();
    assert_eq!(server.get("/status/about", &cookie).await.status, 200);
    // A second log-in is a session of its own; a name that somebody else planted opens nothing.
    assert_ne!(server.log_in("ada", PASSWORD).await.cookie(), cookie);
    assert_eq!(server.get("/status/about", "entracte=planted").await.status, 303);
    let out = server.ask("POST", "/logout", &[&format!("Cookie: {cookie}"), OURS], "").await;
    assert_eq!((out.status, out.header("location")), (303, Some("/login")));
    assert_eq!(server.get("/status/about", &cookie).await.status, 303);
    let told = server.made.audited.lock().unwrap().clone();
    assert_eq!(told[0], ("ada".to_owned(), "logged in".to_owned()));
}

#[tokio::test]
async fn wrong_passwords_by_the_thousand_are_slowed_and_tell_nothing() {
    let server = Server::start(Made::default()).await;
    let mut refused = 0;
    for n in 0..1_000 {
        let (user, password) = if n % 2 == 0 { ("ada", "guess") } else { ("nobody", "guess") };
        let answer = server.log_in(user, password).await;
        match answer.status {
            401 => assert!(answer.body.contains("Wrong user name or password."), "{}", answer.body),
            429 => {
                refused += 1;
                assert!(answer.header("retry-after").is_some());
            }
            other => panic!("{other}"),
        }
    }
    // A handful of tries, and one more a second or so; a thousand take longer than anybody has.
    assert!(refused > 900, "{refused} of 1000 were slowed");
}

#[tokio::test]
async fn a_change_must_come_from_a_page_of_ours() {
    let server = Server::start(Made::default()).await;
    let cookie = format!("Cookie: {}", server.log_in("ada", PASSWORD).await.cookie());
    let origin = format!("Origin: http://{}", server.address);
    for (headers, status) in [
        (&["Sec-Fetch-Site: cross-site"][..], 403),
        (&["Sec-Fetch-Site: same-site"], 403),
        (&["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"], 403),
        (&["Origin: http://evil.example"], 403),
        (&["Origin: null"], 403),
        (&[], 403),
        (&[origin.as_str()], 200),
        (&[OURS], 200),
    ] {
        let headers: Vec<&str> = headers.iter().copied().chain([cookie.as_str()]).collect();
        let answer = server.ask("POST", "/config/general", &headers, "a=b").await;
        assert_eq!(answer.status, status, "{headers:?}");
    }
    // A browser that was given a name and password sends them along with everything: they are no proof.
    let basic = "Authorization: Basic YWRhOmNvcnJlY3QgaG9yc2U=";
    for (headers, status) in [
        (&["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"][..], 403),
        (&["Origin: http://evil.example"], 403),
        (&[OURS], 200),
        (&[], 200),
    ] {
        let headers: Vec<&str> = headers.iter().copied().chain([basic]).collect();
        let answer = server.ask("POST", "/config/general", &headers, "a=b").await;
        assert_eq!(answer.status, status, "{headers:?}");
    }
    // Nor may a page of somebody else read.
    let headers = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", cookie.as_str()];
    assert_eq!(server.ask("GET", "/api/v1/calls", &headers, "").await.status, 403);
    let login = server.ask("POST", "/login", &["Sec-Fetch-Site: cross-site"], "user=a&password=b");
    assert_eq!(login.await.status, 403);
}

#[tokio::test]
async fn each_role_may_do_what_it_may_and_no_more() {
    let server = Server::start(Made::default()).await;
    for (user, listens, changes) in [("vera", 403, 403), ("otto", 200, 403), ("ada", 200, 200)] {
        let cookie = server.log_in(user, PASSWORD).await.cookie();
        assert_eq!(server.get("/status/about", &cookie).await.status, 200, "{user}");
        assert_eq!(server.get("/listen/Radio", &cookie).await.status, listens, "{user}");
        assert_eq!(server.get("/config/general", &cookie).await.status, changes, "{user}");
        let page = server.get("/status/about", &cookie).await.body;
        let cookie = format!("Cookie: {cookie}");
        let review = server.ask("POST", "/config/general", &[&cookie, OURS], "a=b").await;
        assert_eq!(review.status, changes, "{user}");
        assert_eq!(page.contains("/config/general"), changes == 200, "{user}");
    }
}

#[tokio::test]
async fn levels_of_devices_are_followed_for_a_while_and_then_on_demand() {
    let server = Server::start(Made { level: Some(-20.0), ..Made::default() }).await;
    let cookie = server.log_in("ada", PASSWORD).await.cookie();
    let mut path = "/config/devices".to_owned();
    for round in 1..=60 {
        let piece = server.get(&path, &cookie).await.body;
        assert!(piece.contains("<meter") && piece.contains("-20 dBFS"), "{piece}");
        // Each piece asks for the next by itself, a second later; the last waits for somebody.
        let next = format!("/config/devices?round={round}");
        let asks = piece.contains(&format!("hx-get=\"{next}\" hx-trigger=\"load delay:1s\""));
        assert_eq!((asks, piece.contains("Follow the levels again")), (round < 60, round == 60));
        path = next;
    }
}

#[tokio::test]
async fn each_operation_of_the_api_is_there_for_its_role_and_those_above() {
    let server = Server::start(Made::default()).await;
    let roles = ["viewer", "operator", "administrator"];
    let mut cookies = Vec::new();
    for user in ["vera", "otto", "ada"] {
        cookies.push(server.log_in(user, PASSWORD).await.cookie());
    }
    let told = server.get("/api/v1/openapi.json", &cookies[0]).await;
    let document: serde_json::Value = serde_json::from_str(&told.body).unwrap();
    let mut seen = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let about = operation["description"].as_str().unwrap();
            let least = roles.iter().position(|role| about.contains(role)).unwrap();
            let path = path.replace("{name}", "x").replace("{number}", "1").replace("{id}", "x");
            let method = method.to_uppercase();
            for (rank, cookie) in cookies.iter().enumerate() {
                let cookie = format!("Cookie: {cookie}");
                let status = server.ask(&method, &path, &[&cookie, OURS], "").await.status;
                if rank < least {
                    assert_eq!(status, 403, "{method} {path} by a {}", roles[rank]);
                } else {
                    assert!(![0, 401, 403, 405].contains(&status), "{method} {path}: {status}");
                }
                seen += 1;
            }
            let stranger = server.ask(&method, &path, &[OURS], "").await.status;
            assert_eq!(stranger, 401, "{method} {path}");
        }
    }
    assert!(seen > 70, "{seen}");
}

#[tokio::test]
async fn programs_come_in_by_token_or_by_name_and_password() {
    let server = Server::start(Made::default()).await;
    for (authorization, status) in [
        (format!("Bearer {TOKEN}"), 200),
        ("Bearer guess".to_owned(), 401),
        // vera:correct horse
        ("Basic dmVyYTpjb3JyZWN0IGhvcnNl".to_owned(), 200),
        ("Basic dmVyYTp3cm9uZw==".to_owned(), 401),
        ("Digest username=\"ada\"".to_owned(), 401),
        ("Basic %%%".to_owned(), 401),
    ] {
        let header = format!("Authorization: {authorization}");
        let answer = server.ask("GET", "/api/v1/about", &[&header], "").await;
        assert_eq!(answer.status, status, "{authorization}");
    }
    // A header that is there counts, whatever cookie comes along.
    let cookie = format!("Cookie: {}", server.log_in("ada", PASSWORD).await.cookie());
    let both = ["Authorization: Bearer guess", cookie.as_str()];
    assert_eq!(server.ask("GET", "/api/v1/about", &both, "").await.status, 401);
}

#[tokio::test]
async fn metrics_are_told_here_but_not_to_a_page_that_points_its_name_here() {
    let server = Server::start(Made::default()).await;
    let port = server.address.port();
    for (host, more, status) in [
        (format!("127.0.0.1:{port}"), "", 200),
        (format!("localhost:{port}"), "", 200),
        (format!("evil.example:{port}"), "", 401),
        (format!("127.0.0.1:{port}"), "Sec-Fetch-Site: cross-site\r\n", 403),
        (format!("127.0.0.1:{port}"), "X-Forwarded-For: 192.0.2.1\r\n", 401),
        (format!("evil.example:{port}"), "Authorization: Bearer a-secret-of-a-program\r\n", 200),
    ] {
        let request =
            format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n");
        assert_eq!(server.raw(request.as_bytes()).await.status, status, "{host} {more}");
    }
}

#[tokio::test]
async fn paths_headers_and_bodies_of_an_attacker_get_an_answer_and_nothing_else() {
    let server = Server::start(Made::default()).await;
    let cookie = server.log_in("ada", PASSWORD).await.cookie();
    for path in [
        "/static/x/../../../../etc/passwd",
        "/static/x/..%2f..%2f..%2fetc%2fpasswd",
        "/static/x/%2e%2e%2fCargo.toml",
        "/config/..%2f..%2fetc",
        "/config/history/../../etc/passwd",
        "/config/history/99999999999999999999",
        "/status/sessions/%00",
        "/listen/..%2f..%2fetc%2fpasswd",
        "/api/v1/resources/..%2fx.xml",
    ] {
        let answer = server.get(path, &cookie).await;
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
        assert!(!answer.body.contains("root:"), "{path}");
    }
    // A line break in what comes back in a header.
    let next = "user=ada&password=correct+horse&next=%2Fa%0d%0aSet-Cookie:%20evil=1";
    let answer = server.ask("POST", "/login", &[OURS], next).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/status/about")));
    assert!(!answer.head.contains("evil"), "{}", answer.head);
    let answer = server.ask("GET", "/login?next=%0d%0aSet-Cookie:%20evil=1", &[], "").await;
    assert!(!answer.head.contains("evil"), "{}", answer.head);
    // A body that is too large, and one that is no form.
    let cookie = format!("Cookie: {cookie}");
    let large = "a=".to_owned() + &"x".repeat(2 << 20);
    assert_eq!(server.ask("POST", "/config/general", &[&cookie, OURS], &large).await.status, 413);
    let headers = [cookie.as_str(), OURS];
    let apply = "/config/general/apply";
    let broken = server.ask("POST", apply, &headers, "base=x&changes=%5B1").await;
    assert_eq!(broken.status, 400);
    assert_eq!(server.ask("POST", "/login", &[OURS], "user=a").await.status, 422);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_in_is_not_waited_for() {
    let server = Server::start(Made::default()).await;
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ").await.unwrap();
    let begun = tokio::time::Instant::now();
    let mut answer = Vec::new();
    let _ = slow.read_to_end(&mut answer).await;
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

/// Text that would run as a script, or end an attribute or a tag, if it were not escaped.
const EVIL: &str = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'`&<!--]]>";

#[tokio::test]
async fn what_a_peer_can_set_is_shown_as_text_on_every_page() {
    let made = Made { evil: Some(EVIL.to_owned()), calls: 2, ..Made::default() };
    let server = Server::start(made).await;
    let cookie = server.log_in("ada", PASSWORD).await.cookie();
    for path in [
        "/overview",
        "/status/about",
        "/status/server?q=%3Cscript%3E&refresh=off",
        "/status/sessions/1",
        "/status/resources/101",
        "/status/engine",
        "/status/sources",
        "/config/history",
        "/events",
        "/diagnostics",
        "/api/v1/resources/101.xml",
    ] {
        let answer = server.get(path, &cookie).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.body.contains("<script>"), "{path}: {}", answer.body);
        assert!(!answer.body.contains("<img"), "{path}: {}", answer.body);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    }
    let answer = server.ask("POST", "/login", &[OURS], "user=%22%3E%3Cscript%3E&password=x").await;
    assert!(!answer.body.contains("<script>"), "{}", answer.body);
}

#[tokio::test]
async fn complaint_51_ten_thousand_calls_are_shown_a_page_at_a_time() {
    let server = Server::start(Made { calls: 10_000, ..Made::default() }).await;
    let cookie = server.log_in("vera", PASSWORD).await.cookie();
    let page = server.get("/status/server", &cookie).await.body;
    assert_eq!(page.matches("<tr id=\"call-").count(), 50);
    assert!(page.contains("10000 sessions") && page.contains("id=\"call-10000\""));
    assert!(page.len() < 60_000, "{} bytes", page.len());
    assert!(page.contains("after=9951"), "no way to the next page");
    let page = server.get("/status/server?after=9951", &cookie).await.body;
    assert!(page.contains("id=\"call-9950\"") && !page.contains("id=\"call-9951\""));
    let page = server.get("/status/server?after=51", &cookie).await.body;
    assert!(page.contains("id=\"call-1\"") && !page.contains("Next page"));
    // Call 4660 is 1234 in hexadecimal.
    let page = server.get("/status/server?q=00001234%40PHONE", &cookie).await.body;
    assert!(page.contains("1 of 10000 sessions") && page.contains("id=\"call-4660\""));
}
