//! Promise: operators see and steer everything from the dashboard, viewers only see, strangers get
//! nothing, and whatever a name or a payload holds it is only text.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use promises::{Cluster, Database, Running, Session, StopMode, is_delivery, literal};
use ureq::http::Response;
use ureq::{Agent, Body};

/// How long an awaited event may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(120);

const OPERATOR_TOKEN: &str = "operators-know-this-word";
const VIEWER_TOKEN: &str = "viewers-know-this-one";

/// A browser that keeps one cookie and follows no redirects.
struct Browser {
    agent: Agent,
    site: String,
    cookie: String,
    headers: Vec<(&'static str, String)>,
}

/// What it was answered.
struct Answer {
    status: u16,
    location: String,
    text: String,
}

impl Browser {
    fn new(site: &str) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(PATIENCE))
            .build()
            .into();
        Self {
            agent,
            site: site.to_owned(),
            cookie: String::new(),
            headers: Vec::new(),
        }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn get(&mut self, path: &str) -> Answer {
        let mut request = self.agent.get(format!("{}{path}", self.site));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let answer = request.header("cookie", &self.cookie).call().unwrap();
        self.take(answer)
    }

    fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut request = self.agent.post(format!("{}{path}", self.site));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let fields = fields.iter().copied();
        let answer = request.header("cookie", &self.cookie).send_form(fields);
        self.take(answer.unwrap())
    }

    fn take(&mut self, mut answer: Response<Body>) -> Answer {
        let header = |name: &str| {
            let value = answer.headers().get(name);
            value.map_or(String::new(), |value| value.to_str().unwrap().to_owned())
        };
        let (cookie, location) = (header("set-cookie"), header("location"));
        if !cookie.is_empty() {
            assert!(
                cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
                "{cookie}"
            );
            cookie
                .split(';')
                .next()
                .unwrap()
                .clone_into(&mut self.cookie);
        }
        Answer {
            status: answer.status().as_u16(),
            location,
            text: answer.body_mut().read_to_string().unwrap(),
        }
    }

    /// Goes where the answer leads.
    fn follow(&mut self, answer: &Answer) -> Answer {
        assert_eq!(answer.status, 303, "{}", answer.text);
        self.get(&answer.location)
    }

    /// Looks at a page that asks, sends its form as it is, and goes where that leads.
    fn confirm(&mut self, page: &str, more: &[(&str, &str)]) -> Answer {
        let asked = self.get(page);
        assert_eq!(asked.status, 200, "{}", asked.text);
        let form = &asked.text[asked.text.find("method=\"post\" action=\"/admin/").unwrap()..];
        // The first form is the one that signs out where there is a session.
        let form = &form[form
            .find("form_key")
            .map_or(0, |key| form[..key].rfind("action=").unwrap())..];
        let action = attribute(form, "action");
        let mut fields: Vec<(String, String)> = form[..form.find("</form>").unwrap()]
            .split("<input type=\"hidden\"")
            .skip(1)
            .map(|input| (attribute(input, "name"), attribute(input, "value")))
            .collect();
        fields.extend(
            more.iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned())),
        );
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
        let done = self.post(&action, &fields);
        self.follow(&done)
    }
}

fn attribute(html: &str, name: &str) -> String {
    let start = html.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
    let value = html[start..].split('"').next().unwrap();
    let value = value.replace("&quot;", "\"").replace("&lt;", "<");
    value.replace("&gt;", ">").replace("&amp;", "&")
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn page_of(subscriber_id: &str) -> String {
    format!("/admin/subscription?id={}", encoded(subscriber_id))
}

fn confirming(subscriber_id: &str, deed: &str) -> String {
    let id = encoded(subscriber_id);
    format!("/admin/subscription/confirm?id={id}&do={deed}")
}

/// A store whose handler `public.choosy` refuses messages of the type Bad until `public.repaired`
/// has a row, and roles for the dashboard.
async fn with_store(cluster: &Cluster) -> (Database<'_>, Session) {
    let database = cluster.create_store().await;
    let session = database.connect().await;
    session
        .run(
            "CREATE TABLE public.counted (stream text PRIMARY KEY, messages bigint NOT NULL);
             CREATE TABLE public.repaired ();
             GRANT ALL ON public.counted, public.repaired TO message_store;
             CREATE FUNCTION public.choosy(message message_store.message) RETURNS void
             LANGUAGE plpgsql AS $$
             BEGIN
               IF (message).type = 'Bad' AND NOT EXISTS (SELECT FROM public.repaired) THEN
                 RAISE EXCEPTION 'no <b>bad</b> ones' USING ERRCODE = 'XX123';
               END IF;
               IF (message).type = 'Worse' AND NOT EXISTS (SELECT FROM public.repaired) THEN
                 RAISE EXCEPTION E'none of % either\nwhatever it is', (message).stream_name
                   USING ERRCODE = 'XX123';
               END IF;
               INSERT INTO counted VALUES ((message).stream_name, 1)
               ON CONFLICT (stream) DO UPDATE SET messages = counted.messages + 1;
             END $$;
             DO $$ BEGIN
               CREATE ROLE dashboard_operator LOGIN;
               CREATE ROLE dashboard_viewer LOGIN;
             EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
             GRANT message_store_admin TO dashboard_operator;
             GRANT message_store_viewer TO dashboard_viewer",
        )
        .await
        .unwrap();
    (database, session)
}

async fn write(session: &Session, stream: &str, message_type: &str) -> i64 {
    let sql = format!(
        "SELECT message_store.write_message(gen_random_uuid()::varchar, {}, '{message_type}', \
         '{{\"is\": \"<script>alert(1)</script>\"}}')",
        literal(Some(stream))
    );
    session.run(&sql).await.unwrap();
    session
        .bigint("SELECT max(global_position) FROM message_store.messages")
        .await
}

/// Created and started as the role that ticks.
async fn subscribe(database: &Database<'_>, subscriber_id: &str, source: &str, options: &str) {
    let ticking = database.connect_as("message_store").await;
    let id = literal(Some(subscriber_id));
    let sql = format!(
        "SELECT message_store.create_subscription({id}, '{source}', \
         '{{\"$any\": \"public.choosy\"}}', '{options}'); SELECT message_store.start({id})"
    );
    ticking.run(&sql).await.unwrap();
}

const PARKS: &str =
    "{\"on_failure\": \"park\", \"retries\": 0, \"read_model\": [\"public.counted\"]}";

/// The dashboard with its own roles, and more of its table.
fn serve(database: &Database<'_>, more: &str) -> (Running, String) {
    let table = format!(
        "[dashboard]\nenabled = true\nlisten = \"127.0.0.1:0\"\nurl = {:?}\nviewer_url = {:?}\n{more}\n",
        database.url("dashboard_operator"),
        database.url("dashboard_viewer"),
    );
    let running = database.deploy(&table).start();
    let dashboard = running.dashboard();
    (running, dashboard)
}

/// The same where both roles have tokens.
fn serve_with_tokens(database: &Database<'_>) -> (Running, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, token: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{token}\n")).unwrap();
        path
    };
    let (operator, viewer) = (
        file("operator", OPERATOR_TOKEN),
        file("viewer", VIEWER_TOKEN),
    );
    let more = format!("operator_token_file = {operator:?}\nviewer_token_file = {viewer:?}");
    serve(database, &more)
}

/// Looks until a page holds a text.
fn wait_for_page(browser: &mut Browser, path: &str, wanted: &str) -> Answer {
    let started = Instant::now();
    loop {
        let answer = browser.get(path);
        if answer.text.contains(wanted) {
            return answer;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "no {wanted:?} in {}",
            answer.text
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn another_name_and_another_sites_form_get_nothing() {
    let (database, session) = with_store(Cluster::shared()).await;
    subscribe(&database, "s", "a", "{}").await;
    let (running, site) = serve(&database, "");
    let mut foreign = Browser::new(&site).with("host", "evil.example");
    let refused = foreign.get("/admin");
    assert_eq!(refused.status, 421, "{}", refused.text);
    assert!(
        refused.text.contains("[dashboard] hosts"),
        "{}",
        refused.text
    );

    let mut own = Browser::new(&site);
    let form = own.get(&confirming("s", "pause")).text;
    let key = attribute(&form[form.find("form_key").unwrap()..], "value");
    let pause = |key: &str| {
        [
            ("form_key", key.to_owned()),
            ("id", "s".to_owned()),
            ("do", "pause".to_owned()),
        ]
    };
    let send = |browser: &mut Browser, key: &str| {
        let fields = pause(key);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, &**v)).collect();
        browser.post("/admin/subscription/act", &fields)
    };
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "http://127.0.0.1:1"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let mut foreign = Browser::new(&site).with(name, value);
        assert_eq!(send(&mut foreign, &key).status, 403, "{name}: {value}");
    }
    assert_eq!(send(&mut own, "made up").status, 403);
    let state = "SELECT state FROM message_store.subscription_status";
    assert_eq!(session.value(state).await.as_deref(), Some("started"));
    assert_eq!(send(&mut own, &key).status, 303);
    assert_eq!(session.value(state).await.as_deref(), Some("paused"));
    running.stop();
}

#[tokio::test]
async fn a_token_lets_a_viewer_look_and_an_operator_act() {
    let (database, session) = with_store(Cluster::shared()).await;
    subscribe(&database, "s", "a", "{}").await;
    let (running, site) = serve_with_tokens(&database);
    let mut stranger = Browser::new(&site);
    for path in ["/admin", "/admin/parked", &page_of("s")] {
        let answer = stranger.get(path);
        assert_eq!(answer.status, 303, "{path}");
        assert!(
            answer.location.starts_with("/admin/login"),
            "{}",
            answer.location
        );
    }
    assert_eq!(stranger.get("/admin/events?view=overview").status, 401);
    assert_eq!(stranger.post("/admin/subscription/act", &[]).status, 401);
    let wrong = stranger.post("/admin/login", &[("token", "a wrong one")]);
    assert_eq!(wrong.status, 401);
    stranger.cookie = "orchestrator_session=made-up".to_owned();
    assert_eq!(stranger.get("/admin").status, 303);

    let mut viewer = Browser::new(&site);
    let wanted = page_of("s");
    let fields = [("token", VIEWER_TOKEN), ("then", &*wanted)];
    let entered = viewer.post("/admin/login", &fields);
    assert_eq!(entered.location, wanted);
    let page = viewer.follow(&entered);
    assert_eq!(page.status, 200);
    assert!(
        !page.text.contains("/admin/subscription/confirm"),
        "{}",
        page.text
    );
    assert_eq!(viewer.get(&confirming("s", "pause")).status, 403);
    for path in [
        "/admin/subscription/act",
        "/admin/parked/act",
        "/admin/subscription/preview",
        "/admin/subscription/verify",
    ] {
        let fields = [("id", "s"), ("do", "pause"), ("all", "1")];
        let refused = viewer.post(path, &fields);
        assert_eq!(refused.status, 403, "{path}: {}", refused.text);
    }
    let state = "SELECT state FROM message_store.subscription_status";
    assert_eq!(session.value(state).await.as_deref(), Some("started"));

    let mut operator = Browser::new(&site);
    let fields = [("token", OPERATOR_TOKEN), ("then", "https://evil.example")];
    let entered = operator.post("/admin/login", &fields);
    assert_eq!((entered.status, &*entered.location), (303, "/admin"));
    let paused = operator.confirm(&confirming("s", "pause"), &[("reason", "to see")]);
    assert!(paused.text.contains("Paused."), "{}", paused.text);
    let history = "SELECT concat_ws(' | ', action, role, actor, reason) \
                   FROM message_store.subscription_history ORDER BY at DESC LIMIT 1";
    assert_eq!(
        session.value(history).await.as_deref(),
        Some("pause | dashboard_operator | operator (token) | to see")
    );
    assert!(
        paused
            .text
            .contains("operator (token), as dashboard_operator"),
        "{}",
        paused.text
    );
    let url = format!("{site}/admin/events?view=overview");
    let followed = operator.agent.get(&url).header("cookie", &operator.cookie);
    let followed = followed.call().unwrap();
    assert_eq!(followed.status(), 200);
    operator.post("/admin/logout", &[]);
    assert_eq!(operator.get("/admin").status, 303);
    // What its browser still follows ends with the session.
    let mut events = BufReader::new(followed.into_body().into_reader()).lines();
    assert!(events.all(|line| line.is_ok()));
    assert!(!running.log().contains(OPERATOR_TOKEN));
    running.stop();
}

#[tokio::test]
async fn a_person_named_by_a_header_is_believed_from_its_proxy_only() {
    let (database, session) = with_store(Cluster::shared()).await;
    subscribe(&database, "s", "a", "{}").await;
    let header = "identity_header = \"X-User\"\noperators = [\"ada\"]\ntrusted_proxies = ";
    let (elsewhere, site) = serve(&database, &format!("{header}[\"192.0.2.7\"]"));
    let mut ada = Browser::new(&site).with("x-user", "ada");
    assert_eq!(ada.get("/admin").status, 401);
    assert_eq!(ada.get(&page_of("s")).status, 401);
    elsewhere.stop();

    let (running, site) = serve(&database, &format!("{header}[\"127.0.0.0/8\"]"));
    assert_eq!(Browser::new(&site).get("/admin").status, 401);
    let mut both = Browser::new(&site)
        .with("x-user", "eve")
        .with("x-user", "ada");
    assert_eq!(both.get("/admin").status, 401, "two names are none");
    let mut eve = Browser::new(&site).with("x-user", "eve");
    assert_eq!(eve.get("/admin").status, 200);
    assert_eq!(eve.get(&confirming("s", "stop")).status, 403);
    let mut ada = Browser::new(&site).with("x-user", "ada");
    ada.confirm(&confirming("s", "stop"), &[]);
    let actor = "SELECT actor FROM message_store.subscription_history ORDER BY at DESC LIMIT 1";
    assert_eq!(session.value(actor).await.as_deref(), Some("ada"));
    running.stop();
}

#[tokio::test]
async fn odd_names_are_only_text() {
    let (database, session) = with_store(Cluster::shared()).await;
    let long = "é".repeat(512);
    let ids = [
        "<script>alert(1)</script>",
        "quo\"te's & %41 / ?x=1#y",
        "..",
        "Ünïcödé \u{202e} 😀",
        &*long,
    ];
    for (number, id) in ids.into_iter().enumerate() {
        subscribe(&database, id, &format!("c{number}"), PARKS).await;
        write(
            &session,
            &format!("c{number}-<script>alert(1)</script>'\"%"),
            "Bad",
        )
        .await;
    }
    let (running, site) = serve(&database, "");
    let all_parked = "SELECT count(*) = 5 FROM message_store.parked_messages";
    session.wait_until(all_parked).await;
    let mut browser = Browser::new(&site);
    let overview = wait_for_page(&mut browser, "/admin", "Orchestrators alive").text;
    assert!(!overview.contains("<script>alert"), "{overview}");
    for id in ids {
        let escaped = id
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        // A mark of direction is spelled.
        let escaped = escaped
            .replace('"', "&quot;")
            .replace('\u{202e}', "\\u202e");
        assert!(overview.contains(&escaped), "{escaped}");
        let query = encoded(id);
        for path in [
            page_of(id),
            confirming(id, "rebuild"),
            format!("/admin/parked?id={query}"),
            format!("/admin/parked/confirm?id={query}&do=retry&all=1"),
            format!("/admin/subscriptions?q={query}"),
        ] {
            let page = browser.get(&path);
            assert_eq!(page.status, 200, "{path}: {}", page.text);
            assert!(page.text.contains(&escaped), "{path}: {}", page.text);
            assert!(
                !page.text.contains("<script>alert"),
                "{path}: {}",
                page.text
            );
            assert!(!page.text.contains("<b>bad</b>"), "{path}: {}", page.text);
        }
        let paused = browser.confirm(&confirming(id, "pause"), &[]);
        assert!(paused.text.contains("Paused."), "{}", paused.text);
    }
    assert_eq!(browser.get(&page_of("no such")).status, 404);
    assert_eq!(browser.get("/admin/nothing").status, 404);
    running.stop();
}

#[tokio::test]
async fn parked_messages_are_looked_at_tried_retried_and_given_up() {
    let (database, session) = with_store(Cluster::shared()).await;
    subscribe(&database, "s", "a", PARKS).await;
    let first = write(&session, "a-1", "Bad").await;
    write(&session, "a-1", "Good").await;
    write(&session, "a-2", "Bad").await;
    let last = write(&session, "a-3", "Bad").await;
    let (running, site) = serve(&database, "");
    let failed = "SELECT count(*) = 3 FROM message_store.parked_messages WHERE status = 'failed'";
    session.wait_until(failed).await;
    let mut browser = Browser::new(&site);
    let list = browser.get("/admin/parked?id=s").text;
    assert!(
        list.contains("no &lt;b&gt;bad&lt;/b&gt; ones") && list.contains("XX123"),
        "{list}"
    );
    assert!(
        list.contains(&format!("href=\"/admin/messages/{first}\"")),
        "{list}"
    );
    let message = browser.get(&format!("/admin/messages/{first}")).text;
    assert!(
        message.contains("&lt;script&gt;alert(1)"),
        "the payload: {message}"
    );

    let form = &list[list.find("action=\"/admin/subscription/preview\"").unwrap()..];
    let key = attribute(&form[form.find("form_key").unwrap()..], "value");
    let tries = [("form_key", &*key), ("id", "s"), ("of", "parked")];
    let tried = browser.post("/admin/subscription/preview", &tries).text;
    assert!(
        tried.contains("Of 3 messages, 0 would succeed and 3 would fail"),
        "{tried}"
    );
    let of_next = [("form_key", &*key), ("id", "s"), ("of", "next")];
    let nothing = browser.post("/admin/subscription/preview", &of_next).text;
    assert!(nothing.contains("There was nothing to try"), "{nothing}");
    session
        .run("INSERT INTO public.repaired DEFAULT VALUES")
        .await
        .unwrap();
    let tried = browser.post("/admin/subscription/preview", &tries).text;
    assert!(
        tried.contains("3 messages would succeed") && tried.contains("added"),
        "{tried}"
    );
    assert_eq!(
        session.bigint("SELECT count(*) FROM public.counted").await,
        0
    );

    let all = browser
        .get("/admin/parked/confirm?id=s&do=retry&sqlstate=XX123")
        .text;
    assert!(all.contains("<strong>3</strong> messages"), "{all}");
    let page = browser.get(&page_of("s")).text;
    assert!(page.contains("Preview the next 100 messages"), "{page}");
    let one = format!("/admin/parked/confirm?id=s&do=retry&position={first}");
    let asked = browser.get(&one).text;
    assert!(asked.contains("Preview the first 100</button>"), "{asked}");
    let first = first.to_string();
    let chosen = [
        ("form_key", &*key),
        ("id", "s"),
        ("of", "parked"),
        ("position", &first),
    ];
    let chosen = browser.post("/admin/subscription/preview", &chosen).text;
    assert!(
        chosen.contains("a-1") && !chosen.contains("a-2"),
        "{chosen}"
    );
    assert!(asked.contains("<strong>1</strong> message"), "{asked}");
    assert!(asked.contains("1 more wait behind"), "{asked}");
    let done = browser.confirm(&one, &[]).text;
    assert!(done.contains("1 message will be handled again"), "{done}");
    session
        .wait_until("SELECT messages = 2 FROM public.counted WHERE stream = 'a-1'")
        .await;

    let chosen = format!("/admin/parked/confirm?id=s&do=discard&position={last}");
    let done = browser.confirm(&chosen, &[("reason", "never needed")]).text;
    assert!(done.contains("1 message given up"), "{done}");
    let gone = browser.get("/admin/parked?id=s&status=discarded").text;
    assert!(gone.contains("Discarded: never needed"), "{gone}");
    let stream = "/admin/parked/confirm?id=s&do=retry&stream=a-2";
    browser.confirm(stream, &[]);
    let retried = "SELECT reason FROM message_store.subscription_history \
         WHERE action = 'retry' ORDER BY at DESC LIMIT 1";
    assert_eq!(
        session.value(retried).await.as_deref(),
        Some("1 message of the stream a-2")
    );
    session
        .wait_until("SELECT count(*) = 2 FROM public.counted")
        .await;
    let lines = browser.get(&page_of("s")).text;
    assert!(
        lines.contains("operator (loopback), as dashboard_operator"),
        "{lines}"
    );
    assert!(lines.contains("never needed"), "{lines}");
    let nothing = browser.get("/admin/parked/confirm?id=s&do=retry").text;
    assert!(nothing.contains("No message is chosen"), "{nothing}");
    running.stop();
}

#[tokio::test]
async fn a_preview_says_of_how_many_messages_why_which_fail() {
    let (database, session) = with_store(Cluster::shared()).await;
    subscribe(&database, "s", "a", PARKS).await;
    for message_type in ["Bad", "Worse", "Bad"] {
        write(&session, &format!("a-{message_type}"), message_type).await;
    }
    let (running, site) = serve(&database, "");
    let failed = "SELECT count(*) = 2 FROM message_store.parked_messages WHERE status = 'failed'";
    session.wait_until(failed).await;
    let mut browser = Browser::new(&site);
    browser.confirm(&confirming("s", "pause"), &[]);
    for message_type in ["Good", "Good", "Worse", "Good"] {
        write(&session, "a-next", message_type).await;
    }
    session
        .run(
            "CREATE OR REPLACE FUNCTION public.choosy(message message_store.message) RETURNS void
             LANGUAGE plpgsql AS $$ BEGIN
               IF (message).type = 'Worse' THEN RAISE EXCEPTION 'still none'; END IF;
               INSERT INTO counted VALUES ((message).stream_name, 1) ON CONFLICT DO NOTHING;
             END $$",
        )
        .await
        .unwrap();
    let page = browser.get(&page_of("s")).text;
    let form = &page[page.find("action=\"/admin/subscription/preview\"").unwrap()..];
    let key = attribute(&form[form.find("form_key").unwrap()..], "value");
    let mut preview = |of: &str| {
        let fields = [("form_key", &*key), ("id", "s"), ("of", of)];
        browser.post("/admin/subscription/preview", &fields).text
    };
    let parked = preview("parked");
    for part in [
        "Of 2 messages, 1 would succeed and 1 would fail",
        "P0001</code> still none",
        "a-Bad",
    ] {
        assert!(parked.contains(part), "no {part}: {parked}");
    }
    let next = preview("next");
    for part in [
        "Of 4 messages, 2 would succeed and 1 would fail. 1 would wait behind those",
        "P0001</code> still none",
        "a-next",
    ] {
        assert!(next.contains(part), "no {part}: {next}");
    }
    let counted = session.bigint("SELECT count(*) FROM public.counted").await;
    assert_eq!(counted, 0);
    running.stop();
}

/// The first link of a page whose text or name contains this.
fn link_named(page: &str, name: &str) -> String {
    let mut links = page.split("<a ").skip(1);
    let found = links.find(|link| link.split("</a>").next().unwrap().contains(name));
    let link = found.unwrap_or_else(|| panic!("no link {name:?}: {page}"));
    attribute(&format!(" {link}"), "href")
}

#[tokio::test]
async fn failures_of_all_subscriptions_are_one_list_to_act_on() {
    let (database, session) = with_store(Cluster::shared()).await;
    for id in ["first", "second"] {
        subscribe(&database, id, "a", PARKS).await;
    }
    subscribe(&database, "halted", "h", "{\"retries\": 0}").await;
    let mut bad = Vec::new();
    for stream in ["a-1", "a-2", "a-3", "a-4"] {
        bad.push(write(&session, stream, "Bad").await);
    }
    write(&session, "a-5", "Worse").await;
    write(&session, "h-1", "Bad").await;
    let (running, site) = serve(&database, "");
    let parked = |count: i64| {
        format!(
            "SELECT count(*) = {count} FROM message_store.parked_messages WHERE status = 'failed'"
        )
    };
    session.wait_until(&parked(10)).await;
    let stopped = "SELECT bool_or(state = 'stopped') FROM message_store.subscription_status";
    session.wait_until(stopped).await;
    let mut browser = Browser::new(&site);

    // What is red on the overview leads to what is to be done.
    let stopped = "1<span class=\"unseen\"> Stopped";
    let overview = wait_for_page(&mut browser, "/admin", stopped).text;
    assert_eq!(link_named(&overview, "10<span"), "/admin/parked");
    let stopped = link_named(&overview, stopped);
    let stopped = browser.get(&stopped).text;
    assert!(
        stopped.contains(">halted</a>") && !stopped.contains(">second</a>"),
        "{stopped}"
    );

    let list = browser.get("/admin/parked").text;
    let (why, messages) = list.split_once("<h2>Messages</h2>").unwrap();
    assert_eq!(
        why.matches("no &lt;b&gt;bad&lt;/b&gt; ones</div>").count(),
        3,
        "{why}"
    );
    assert!(why.contains("Subscriptions that stand still"), "{why}");
    for id in ["first", "second"] {
        assert!(
            why.contains(&format!("Retry all of {id} that failed with XX123")),
            "{why}"
        );
    }
    assert_eq!(
        messages.matches("type=\"checkbox\" name=\"mark\"").count(),
        10,
        "{messages}"
    );

    // A selection over subscriptions.
    let marks = format!("mark={}%20first&mark={}%20second&from=all", bad[0], bad[1]);
    let asked = format!("/admin/parked/confirm?do=discard&{marks}");
    assert!(
        browser
            .get(&asked)
            .text
            .contains("<strong>2</strong> messages")
    );
    let done = browser.confirm(&asked, &[("reason", "to see")]).text;
    assert!(
        done.contains("2 messages given up") && done.contains("<h1>Failures</h1>"),
        "{done}"
    );
    session.wait_until(&parked(8)).await;

    // One, from its own page and back to it.
    let path = format!("/admin/messages/{}", bad[2]);
    let page = browser.get(&path).text;
    for part in [
        "<strong>Parked</strong> by",
        ">first</a>",
        ">second</a>",
        "SQLSTATE XX123",
        "ago</time>",
    ] {
        assert!(page.contains(part), "no {part}: {page}");
    }
    let discard = format!("Discard the message at {} for first", bad[2]);
    let done = browser
        .confirm(&link_named(&page, &discard), &[("reason", "old")])
        .text;
    assert!(
        done.contains("1 message given up") && done.contains("<strong>Discarded</strong>"),
        "{done}"
    );
    session.wait_until(&parked(7)).await;

    // All of one that failed alike.
    session
        .run("INSERT INTO public.repaired DEFAULT VALUES")
        .await
        .unwrap();
    let retry = link_named(&list, "Retry all of second that failed");
    let done = browser.confirm(&retry, &[]).text;
    assert!(done.contains("3 messages will be handled again"), "{done}");
    session.wait_until(&parked(4)).await;
    running.stop();
}

#[tokio::test]
async fn all_that_failed_alike_are_one_deed_however_many() {
    let (database, session) = with_store(Cluster::shared()).await;
    subscribe(&database, "s", "a", PARKS).await;
    session
        .run(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-' || n,
               CASE WHEN n > 2 THEN 'Bad' ELSE 'Worse' END, '{}')
             FROM generate_series(1, 603) n",
        )
        .await
        .unwrap();
    let (running, site) = serve(&database, "");
    let failed = |count: i64| {
        format!(
            "SELECT count(*) = {count} FROM message_store.parked_messages WHERE status = 'failed'"
        )
    };
    session.wait_until(&failed(603)).await;
    let mut browser = Browser::new(&site);
    let list = browser.get("/admin/parked").text;
    let discard = link_named(&list, "Discard all of s that failed with XX123 no ");
    let asked = browser.get(&discard).text;
    assert!(asked.contains("<strong>601</strong> messages"), "{asked}");
    let done = browser.confirm(&discard, &[("reason", "too many")]).text;
    assert!(done.contains("601 messages given up"), "{done}");
    session.wait_until(&failed(2)).await;
    let deeds = "SELECT count(*) FROM message_store.subscription_history \
                 WHERE action = 'discard' AND reason = 'too many'";
    assert_eq!(session.bigint(deeds).await, 1);
    running.stop();
}

#[tokio::test]
async fn a_viewer_sees_failures_and_finds_nothing_to_act_with() {
    let (database, session) = with_store(Cluster::shared()).await;
    subscribe(&database, "s", "a", PARKS).await;
    let position = write(&session, "a-1", "Bad").await;
    let (running, site) = serve_with_tokens(&database);
    let failed = "SELECT count(*) = 1 FROM message_store.parked_messages";
    session.wait_until(failed).await;
    let mut viewer = Browser::new(&site);
    viewer.post("/admin/login", &[("token", VIEWER_TOKEN)]);
    for path in ["/admin/parked", &format!("/admin/messages/{position}")] {
        let page = viewer.get(path).text;
        assert!(page.contains("no &lt;b&gt;bad&lt;/b&gt; ones"), "{page}");
        assert!(
            !page.contains("confirm?") && !page.contains("checkbox"),
            "{page}"
        );
    }
    let marked = format!("/admin/parked/confirm?do=retry&mark={position}%20s");
    assert_eq!(viewer.get(&marked).status, 403);
    running.stop();
}

#[tokio::test]
async fn a_subscription_is_held_started_rebuilt_and_promoted() {
    let (database, session) = with_store(Cluster::shared()).await;
    subscribe(
        &database,
        "s",
        "a",
        "{\"read_model\": [\"public.counted\"]}",
    )
    .await;
    write(&session, "a-1", "Good").await;
    let (running, site) = serve(&database, "");
    session
        .wait_until("SELECT count(*) = 1 FROM public.counted")
        .await;
    let mut browser = Browser::new(&site);
    let state = |wanted: &str| {
        format!(
            "SELECT state = '{wanted}' FROM message_store.subscription_status WHERE subscriber_id = 's'"
        )
    };
    browser.confirm(&confirming("s", "pause"), &[]);
    session.wait_until(&state("paused")).await;
    let page = browser.get(&page_of("s")).text;
    assert!(
        page.contains("Start</a>") && !page.contains("Pause</a>"),
        "{page}"
    );
    assert!(page.contains("choosy"), "its handlers: {page}");
    browser.confirm(&confirming("s", "start"), &[]);
    session.wait_until(&state("started")).await;

    session
        .run("UPDATE public.counted SET messages = 17")
        .await
        .unwrap();
    browser.confirm(&confirming("s", "rebuild"), &[]);
    let is_right = "SELECT coalesce(sum(messages), 0) = 1 FROM public.counted";
    session.wait_until(is_right).await;

    session
        .run("UPDATE public.counted SET messages = 17")
        .await
        .unwrap();
    let begun = browser
        .confirm(&confirming("s", "rebuild-beside"), &[])
        .text;
    assert!(begun.contains("The copy is being filled"), "{begun}");
    let ready = wait_for_page(&mut browser, &page_of("s"), "it can be promoted").text;
    assert!(ready.contains("Promote the rebuild</a>"), "{ready}");
    assert_eq!(
        session.bigint("SELECT messages FROM public.counted").await,
        17
    );
    let asked = browser.get(&confirming("s", "promote")).text;
    assert!(asked.contains("Rows that change"), "{asked}");
    browser.confirm(&confirming("s", "promote"), &[]);
    assert_eq!(
        session.bigint("SELECT messages FROM public.counted").await,
        1
    );
    let refused = browser.confirm(&confirming("s", "promote"), &[]).text;
    assert!(
        refused.contains("Nothing was done") && refused.contains("SQLSTATE"),
        "{refused}"
    );
    session
        .run(
            "CREATE FUNCTION public.forgetful(message message_store.message) RETURNS void
               LANGUAGE sql AS $$ SELECT $$;
             SELECT message_store.alter_subscription('s', '{\"$any\": \"public.forgetful\"}')",
        )
        .await
        .unwrap();
    browser.confirm(&confirming("s", "rebuild-beside"), &[]);
    wait_for_page(&mut browser, &page_of("s"), "it can be promoted");
    let refused = browser.confirm(&confirming("s", "promote"), &[]).text;
    assert!(refused.contains("Nothing was done"), "{refused}");
    browser.confirm(&confirming("s", "promote"), &[("may_empty", "1")]);
    let rows = "SELECT count(*) FROM public.counted";
    assert_eq!(session.bigint(rows).await, 0);
    browser.confirm(&confirming("s", "rebuild-beside"), &[]);
    let cancelled = browser
        .confirm(&confirming("s", "cancel-rebuild"), &[])
        .text;
    assert!(
        cancelled.contains("The rebuild is cancelled"),
        "{cancelled}"
    );
    let copies = "SELECT count(*) FROM message_store.subscription_status WHERE copy_of IS NOT NULL";
    assert_eq!(session.bigint(copies).await, 0);
    running.stop();
}

#[tokio::test]
async fn a_subscription_is_moved_resized_and_verified_and_the_history_has_it() {
    let (database, session) = with_store(Cluster::shared()).await;
    subscribe(
        &database,
        "s",
        "a",
        "{\"read_model\": [\"public.counted\"]}",
    )
    .await;
    subscribe(&database, "other", "b", "{}").await;
    for _ in 0..3 {
        write(&session, "a-1", "Good").await;
    }
    let (running, site) = serve(&database, "");
    let counted =
        |count: i64| format!("SELECT coalesce(sum(messages), 0) = {count} FROM public.counted");
    session.wait_until(&counted(3)).await;
    let mut browser = Browser::new(&site);
    browser.confirm(&confirming("s", "pause"), &[]);
    let asked = browser.get(&confirming("s", "reset")).text;
    assert!(asked.contains("at position 3 of 3"), "{asked}");

    let verify = |browser: &mut Browser| {
        let page = browser.get(&page_of("s")).text;
        let form = &page[page.find("action=\"/admin/subscription/verify\"").unwrap()..];
        let key = attribute(&form[form.find("form_key").unwrap()..], "value");
        let fields = [("form_key", &*key), ("id", "s")];
        browser.post("/admin/subscription/verify", &fields).text
    };
    let right = verify(&mut browser);
    assert!(right.contains("is what the log makes of it"), "{right}");

    let back = [("number", "1"), ("reason", "once more")];
    let done = browser.confirm(&confirming("s", "reset"), &back).text;
    assert!(
        done.contains("The position is set back") && done.contains("1 of 3"),
        "{done}"
    );
    let on = [("number", "2"), ("reason", "not these")];
    let done = browser.confirm(&confirming("s", "skip"), &on).text;
    assert!(
        done.contains("The messages are left out") && done.contains("2 of 3"),
        "{done}"
    );
    browser.confirm(&confirming("s", "start"), &[]);
    session.wait_until(&counted(4)).await;
    let wrong = verify(&mut browser);
    for part in [
        "These rows differ",
        "Expected",
        "&quot;messages&quot;: 3",
        "&quot;messages&quot;: 4",
    ] {
        assert!(wrong.contains(part), "no {part}: {wrong}");
    }
    let done = browser
        .confirm(&confirming("s", "resize"), &[("number", "2")])
        .text;
    assert!(done.contains("The group is being resized"), "{done}");
    let refused = browser
        .confirm(
            &confirming("s", "reset"),
            &[("number", "99"), ("reason", "x")],
        )
        .text;
    assert!(refused.contains("Nothing was done"), "{refused}");

    browser.confirm(&confirming("other", "stop"), &[("reason", "enough")]);
    let history = browser.get("/admin/history").text;
    for part in [
        "once more",
        "not these",
        "1 to 2 members",
        "enough",
        ">other</a>",
        "ago</time>",
    ] {
        assert!(history.contains(part), "no {part}: {history}");
    }
    running.stop();
}

/// A rebuild that stands at its third of five messages, until `gate` ends.
#[tokio::test]
async fn a_rebuild_shows_how_far_it_is() {
    let (database, session) = with_store(Cluster::shared()).await;
    let gated = "
        CREATE FUNCTION public.gated(message message_store.message) RETURNS void
        LANGUAGE plpgsql AS $$
        BEGIN
          IF (message).type = 'Gate' THEN PERFORM pg_advisory_xact_lock_shared(1); END IF;
          INSERT INTO counted VALUES ((message).stream_name, 1)
          ON CONFLICT (stream) DO UPDATE SET messages = counted.messages + 1;
        END $$";
    session.run(gated).await.unwrap();
    let ticking = database.connect_as("message_store").await;
    let create = "SELECT message_store.create_subscription('s', 'a', \
         '{\"$any\": \"public.gated\"}', \
         '{\"read_model\": [\"public.counted\"], \"batch_size\": 1}'); \
         SELECT message_store.start('s')";
    ticking.run(create).await.unwrap();
    for message_type in ["Good", "Good", "Gate", "Good", "Good"] {
        write(&session, "a-1", message_type).await;
    }
    let (running, site) = serve(&database, "");
    let is_at = |id: &str, position: i64| {
        format!(
            "SELECT coalesce((SELECT position = {position} FROM message_store.subscription_status \
             WHERE subscriber_id = '{id}'), false)"
        )
    };
    session.wait_until(&is_at("s", 5)).await;
    let gate = database.connect().await;
    gate.run("BEGIN; SELECT pg_advisory_xact_lock(1)")
        .await
        .unwrap();
    let mut browser = Browser::new(&site);
    browser.confirm(&confirming("s", "rebuild-beside"), &[]);
    session.wait_until(&is_at("s#rebuild", 2)).await;
    let page = browser.get(&page_of("s")).text;
    for part in [
        "<progress max=\"5\" value=\"2\" aria-label=\"Rebuild side by side\">",
        "2 of 5, 40 %",
    ] {
        assert!(page.contains(part), "no {part}: {page}");
    }
    assert!(!page.contains("it can be promoted"), "{page}");
    gate.run("COMMIT").await.unwrap();
    wait_for_page(&mut browser, &page_of("s"), "it can be promoted");
    running.stop();
}

#[tokio::test]
async fn a_failing_handler_is_shown_live_with_its_message() {
    let (database, session) = with_store(Cluster::shared()).await;
    subscribe(&database, "s", "a", "{\"retries\": 0}").await;
    let (running, site) = serve(&database, "");
    let mut browser = Browser::new(&site);
    let page = browser.get(&page_of("s")).text;
    let main = &page[page.find("<main").unwrap()..];
    let events = format!("{site}{}", attribute(main, "data-events"));
    let answer = browser.agent.get(&events).call().unwrap();
    let position = write(&session, "a-1", "Bad").await;
    let lines = BufReader::new(answer.into_body().into_reader()).lines();
    let link = format!("/admin/messages/{position}");
    let news = lines
        .map_while(Result::ok)
        .find(|line| line.contains(&link));
    let news = news.expect("no event tells of the message");
    // What moves has its place from the first moment, also before there is anything to show.
    for id in ["status", "trouble", "progress", "actions", "members", "lag"] {
        assert!(
            page.contains(&format!("<section id=\"{id}\">")),
            "{id}: {page}"
        );
    }
    assert!(
        news.starts_with("data:") && news.contains("\"id\":\"trouble\""),
        "{news}"
    );
    assert!(news.contains("no &lt;b&gt;bad&lt;/b&gt; ones"), "{news}");
    let events = format!("{site}/admin/events?view=overview");
    let answer = browser.agent.get(&events).call().unwrap();
    let lines = BufReader::new(answer.into_body().into_reader()).lines();
    let mut news = lines.map_while(Result::ok);
    assert!(news.any(|line| line.contains("\"id\":\"subscriptions\"")));
    running.stop();
}

#[tokio::test]
async fn while_the_database_is_away_there_is_a_page() {
    let cluster = Cluster::start(&[]);
    let (database, session) = with_store(&cluster).await;
    subscribe(&database, "s", "a", "{}").await;
    let (running, site) = serve(&database, "");
    let mut browser = Browser::new(&site);
    wait_for_page(&mut browser, "/admin", "Orchestrators alive");
    let form = browser.get(&confirming("s", "pause")).text;
    let key = attribute(&form[form.find("form_key").unwrap()..], "value");
    drop(session);
    cluster.stop(StopMode::Fast);
    for path in [&*page_of("s"), "/admin/parked", "/admin/parked?id=s"] {
        let page = browser.get(path);
        assert_eq!(page.status, 503, "{path}: {}", page.text);
        assert!(
            page.text.contains("The database does not answer"),
            "{}",
            page.text
        );
    }
    let fields = [("form_key", &*key), ("id", "s"), ("do", "pause")];
    let done = browser.post("/admin/subscription/act", &fields);
    assert_eq!(done.status, 303);
    // The last that was seen is still there to look at.
    wait_for_page(
        &mut browser,
        "/admin",
        "The database does not answer. This was the state",
    );
    // Nor has one that starts now seen anything; its pages have the places for what will come.
    let (started_late, site) = serve(&database, "");
    let overview = Browser::new(&site).get("/admin").text;
    for id in ["state", "figures", "writes", "blockers", "subscriptions"] {
        assert!(
            overview.contains(&format!("<section id=\"{id}\">")),
            "{id}: {overview}"
        );
    }
    started_late.stop();
    cluster.start_again();
    wait_for_page(&mut browser, &page_of("s"), "Who did what");
    running.stop();
}

#[tokio::test]
async fn the_role_that_ticks_is_asked_nothing_by_the_dashboard() {
    let cluster = Cluster::start(&[("log_statement", "all"), ("log_line_prefix", "%u|")]);
    let (database, session) = with_store(&cluster).await;
    subscribe(&database, "s", "a", PARKS).await;
    write(&session, "a-1", "Bad").await;
    let (running, site) = serve_with_tokens(&database);
    let parked = "SELECT count(*) = 1 FROM message_store.parked_messages";
    session.wait_until(parked).await;
    session.run("SELECT 'looked at from here'").await.unwrap();
    for (token, role) in [
        (OPERATOR_TOKEN, "dashboard_operator"),
        (VIEWER_TOKEN, "dashboard_viewer"),
    ] {
        let mut browser = Browser::new(&site);
        browser.post("/admin/login", &[("token", token)]);
        wait_for_page(&mut browser, "/admin", "Orchestrators alive");
        for path in [&*page_of("s"), "/admin/parked?id=s", "/admin/subscriptions"] {
            assert_eq!(browser.get(path).status, 200, "{path}");
        }
        if role == "dashboard_operator" {
            browser.confirm("/admin/parked/confirm?id=s&do=retry&all=1", &[]);
            browser.confirm(&confirming("s", "pause"), &[]);
        }
        let log = cluster.log();
        let asked = format!("{role}|");
        assert!(log.contains(&asked), "{role} was not asked anything");
    }
    let log = cluster.log();
    let log = log.split("looked at from here").nth(1).unwrap();
    let statements = log.lines().filter(|line| {
        line.starts_with("message_store|")
            && (line.contains("statement:") || line.contains("execute "))
    });
    let others: Vec<&str> = statements.filter(|line| !is_delivery(line)).collect();
    assert!(others.is_empty(), "{others:#?}");
    running.stop();
}

#[tokio::test]
async fn an_orchestrator_that_lives_and_a_writer_that_holds_back_are_seen() {
    const ALIVE: &str = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' \
        AND classid = 1869767528 AND objsubid = 2 AND mode = 'ShareLock' AND granted \
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let (database, session) = with_store(Cluster::shared()).await;
    subscribe(&database, "s", "a", "{}").await;
    session
        .run("GRANT pg_read_all_stats TO dashboard_operator")
        .await
        .unwrap();
    let writer = database.connect().await;
    writer.run("BEGIN").await.unwrap();
    write(&writer, "a-1", "Good").await;
    let (running, site) = serve(&database, "");
    let own = format!("{ALIVE} AND objid = {}", running.pid());
    session.wait_until(&format!("SELECT ({own}) = 1")).await;
    let mut browser = Browser::new(&site);
    let overview = wait_for_page(&mut browser, "/admin", "Orchestrators alive").text;
    let blocker = format!("process {}", writer.pid);
    assert!(
        overview.contains("What keeps readers waiting"),
        "{overview}"
    );
    assert!(overview.contains(&blocker), "{overview}");
    let end = format!("pg_terminate_backend({})", writer.pid);
    for part in [
        "href=\"/admin/browse?source=a\"",
        &end,
        "idle in transaction",
        "max(global_position)",
        "postgres",
    ] {
        assert!(overview.contains(part), "no {part}: {overview}");
    }
    let named = format!("<span title=\"Database\">{}</span>", database.name);
    assert!(overview.contains(&named), "{overview}");
    // A rate is of two samples.
    let drawn = wait_for_page(&mut browser, "/admin", "<svg").text;
    assert!(
        !drawn.contains("<dt>Messages a second</dt><dd>–"),
        "{drawn}"
    );
    writer.run("COMMIT").await.unwrap();
    running.stop();
    session.wait_until(&format!("SELECT ({ALIVE}) = 0")).await;
}

#[tokio::test]
async fn an_epoch_is_doubted_until_somebody_confirms_it() {
    let (database, session) = with_store(Cluster::shared()).await;
    write(&session, "a-1", "Good").await;
    session
        .run("SELECT message_store.begin_epoch('a disk was put back')")
        .await
        .unwrap();
    let (running, site) = serve(&database, "");
    let told = wait_for_page(&mut Browser::new(&site), "/admin", "may have been lost").text;
    running.stop();
    assert!(told.contains(": a disk was put back."), "{told}");
    let confirm = told
        .split("<code>")
        .find(|code| code.starts_with("SELECT message_store.confirm_epoch("))
        .unwrap();
    let (confirm, _) = confirm.split_once("</code>").unwrap();
    session.run(confirm).await.unwrap();
    let (running, site) = serve(&database, "");
    let mut browser = Browser::new(&site);
    let overview = wait_for_page(&mut browser, "/admin", "Orchestrators alive").text;
    assert!(!overview.contains("may have been lost"), "{overview}");

    // The positions that it leaves out are no writes.
    let position = write(&session, "a-1", "Good").await;
    assert!(position > 1_000_000);
    let [millions, thousands] = [1_000_000, 1_000].map(|unit| position / unit % 1_000);
    let shown = format!("<dd>{millions},{thousands:03},{:03}<", position % 1_000);
    let overview = wait_for_page(&mut browser, "/admin", &shown).text;
    let (_, rate) = overview
        .split_once("<dt>Messages a second</dt><dd>")
        .unwrap();
    let rate: f64 = rate.split('<').next().unwrap().parse().unwrap();
    assert!(rate < 10.0, "{rate}");
    running.stop();
}
