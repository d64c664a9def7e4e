//! A browser as people use it: Debian's Chromium, driven through chromedriver.

use std::future::Future;
use std::io::{BufRead as _, BufReader};
use std::panic::AssertUnwindSafe;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use futures_util::FutureExt as _;
use serde_json::{Value, json};

/// How long a page, or something on it, may take. The machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A process that ends with its holder.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A command of chromedriver that fantoccini has no name for.
#[derive(Debug)]
struct Raw(&'static str, Value);

impl WebDriverCompatibleCommand for Raw {
    fn endpoint(&self, base: &url::Url, id: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", id.unwrap_or_default(), self.0))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.1.to_string()))
    }
}

/// A browser at the pages of one server.
pub(crate) struct Browser {
    client: Client,
    base: String,
}

/// Opens a browser, lets `walk` use it, and closes it, whatever became of the walk.
pub(crate) async fn with_browser<F: Future<Output = ()>>(
    base: &str,
    walk: impl FnOnce(Browser) -> F,
) {
    let mut command = Command::new("chromedriver");
    command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null());
    let mut driver = Driver(command.spawn().expect("chromedriver (Debian: chromium-driver)"));
    let mut lines = BufReader::new(driver.0.stdout.take().unwrap()).lines();
    let port = loop {
        let line = lines.next().expect("chromedriver ended").unwrap();
        if let Some((_, port)) = line.rsplit_once("started successfully on port ") {
            break port.trim_end_matches('.').to_owned();
        }
    };
    std::thread::spawn(move || lines.for_each(drop));
    let capabilities = json!({
        "goog:chromeOptions": { "args": [
            "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
            "--autoplay-policy=no-user-gesture-required", "--window-size=1280,900",
        ] },
        "goog:loggingPrefs": { "browser": "ALL" },
    });
    let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
        .capabilities(capabilities.as_object().unwrap().clone())
        .connect(&format!("http://127.0.0.1:{port}"))
        .await
        .expect("a browser");
    let browser = Browser { client: client.clone(), base: base.to_owned() };
    // Ending chromedriver alone would leave its Chromium behind.
    let done = AssertUnwindSafe(walk(browser)).catch_unwind().await;
    if done.is_err() {
        println!("page: {:?}", client.current_url().await);
        let text = client.execute("return document.body.innerText.slice(0, 600)", vec![]).await;
        println!("text: {text:?}");
        println!("log: {:?}", client.issue_cmd(Raw("se/log", json!({ "type": "browser" }))).await);
    }
    let _ = client.close().await;
    if let Err(panic) = done {
        std::panic::resume_unwind(panic);
    }
}

impl Browser {
    /// Opens a page of the server.
    pub(crate) async fn open(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.base)).await.unwrap();
    }

    /// Opens an address as it is.
    pub(crate) async fn open_link(&self, link: &str) {
        self.client.goto(link).await.unwrap();
    }

    /// The path of the page.
    pub(crate) async fn path(&self) -> String {
        self.client.current_url().await.unwrap().path().to_owned()
    }

    /// Waits for something on the page.
    pub(crate) async fn wait(&self, css: &str) {
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
        assert!(found.is_ok(), "no {css} on the page");
    }

    /// Types into a field in place of what is in it.
    pub(crate) async fn fill(&self, name: &str, text: &str) {
        let field =
            self.client.find(Locator::Css(&format!("[name='{name}']:not([type=hidden])"))).await;
        let field = field.unwrap_or_else(|error| panic!("{name}: {error}"));
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Chooses a word of a list.
    pub(crate) async fn choose(&self, name: &str, word: &str) {
        let field = self.client.find(Locator::Css(&format!("select[name='{name}']"))).await;
        field
            .unwrap_or_else(|error| panic!("{name}: {error}"))
            .select_by_label(word)
            .await
            .unwrap();
    }

    /// Presses what is there.
    pub(crate) async fn press(&self, css: &str) {
        let button = self.client.find(Locator::Css(css)).await;
        button.unwrap_or_else(|error| panic!("{css}: {error}")).click().await.unwrap();
    }

    /// Presses the button with this text.
    pub(crate) async fn press_button(&self, text: &str) {
        let path =
            format!("//button[normalize-space()='{text}'] | //a[normalize-space()='{text}']");
        let button = self.client.find(Locator::XPath(&path)).await;
        button.unwrap_or_else(|error| panic!("{text}: {error}")).click().await.unwrap();
    }

    /// What a script says.
    pub(crate) async fn script(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap()
    }

    /// Waits until a script says true.
    pub(crate) async fn until(&self, what: &str, script: &str) {
        let begun = entracte::clock::instant();
        while self.script(script).await != json!(true) {
            assert!(begun.elapsed() < PATIENCE, "{what}: never");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the page contains a text.
    pub(crate) async fn until_text(&self, text: &str) {
        let script = format!("return document.body.innerText.includes({})", json!(text));
        self.until(text, &script).await;
    }

    /// As somebody who likes it dark, or light.
    pub(crate) async fn scheme(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let media =
            json!({ "cmd": "Emulation.setEmulatedMedia", "params": { "features": features } });
        self.client.issue_cmd(Raw("goog/cdp/execute", media)).await.unwrap();
    }

    /// On a screen of this width.
    pub(crate) async fn width(&self, pixels: u32) {
        let phone = pixels < 600;
        let params =
            json!({ "width": pixels, "height": 900, "deviceScaleFactor": 1, "mobile": phone });
        let size = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": params });
        self.client.issue_cmd(Raw("goog/cdp/execute", size)).await.unwrap();
    }

    /// Finds no fault by the rules of WCAG 2.2 AA that a program can check.
    pub(crate) async fn check_accessible(&self, page: &str) {
        self.client.execute(include_str!("axe-4.14.1.min.js"), vec![]).await.unwrap();
        let rules = "['wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa']";
        let script = format!(
            "const done = arguments[0]; axe.run(document, {{ runOnly: {rules} }}).then(\
             found => done(found.violations.map(v => [v.id, v.nodes.map(n => n.html)])), \
             error => done(String(error)))"
        );
        let found = self.client.execute_async(&script, vec![]).await.unwrap();
        assert_eq!(found, json!([]), "{page}");
        let wide =
            self.script("return document.documentElement.scrollWidth > innerWidth + 1").await;
        assert_eq!(wide, json!(false), "{page} is wider than the screen");
    }

    /// What the console says since it was last asked: scripts that fail, what the policy bars.
    pub(crate) async fn console(&self) -> Vec<Value> {
        let said =
            self.client.issue_cmd(Raw("se/log", json!({ "type": "browser" }))).await.unwrap();
        let said = said.as_array().cloned().unwrap_or_default();
        // What the browser only recommends is at DEBUG.
        said.into_iter().filter(|line| line["level"] != "DEBUG").collect()
    }

    /// A picture of the page, where `ENTRACTE_SCREENSHOTS` names a folder for them.
    pub(crate) async fn picture(&self, name: &str) {
        if let Some(folder) = std::env::var_os("ENTRACTE_SCREENSHOTS") {
            std::fs::create_dir_all(&folder).unwrap();
            let png = self.client.screenshot().await.unwrap();
            let name = name.trim_matches('/').replace('/', "-");
            std::fs::write(std::path::Path::new(&folder).join(format!("{name}.png")), png).unwrap();
        }
    }
}
