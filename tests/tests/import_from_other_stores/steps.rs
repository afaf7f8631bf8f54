//! The steps of the page.

use promises::{Cluster, Database, Session};

use crate::page::reader::Reader;
use crate::page::{Block, Page};

/// Where they stand.
const PAGE: &str = "migrate";

/// The section with the commands. They name the file of one store.
const COMMANDS: &str = "Import from another store";
const NAMED_THERE: &str = "marten";

/// How the lines come to the command.
#[derive(Clone, Copy, PartialEq)]
pub enum By {
    File,
    Pipe,
}

/// Does what the page says, from the database at `old` into the one at `new`, and compares what is printed.
/// `edit` is what somebody changes in the query.
pub async fn follow_page(
    section: &str,
    (old, by, new): (&str, By, &Database<'_>),
    edit: impl Fn(&str) -> String,
    printed: &str,
) {
    let page = Page::open(PAGE);
    let query = block_of(&page, section, |block| block.language == "sql");
    let (name, _) = query.text.split_once('\n').unwrap();
    let name = name.trim_start_matches("-- ").trim_end_matches(".sql");
    let commands = block_of(&page, COMMANDS, |block| {
        block.language == "sh" && block.text.contains(" | ") == (by == By::Pipe)
    });
    let commands = commands.text.replace(NAMED_THERE, name);
    let commands = commands.replace('\n', "\n> ");
    let mut reader = Reader::at(&new.url("postgres"));
    reader.export("OLD", old);
    for (language, text) in [
        ("sql", edit(&query.text)),
        (
            "console",
            format!("$ {commands} || echo \"exit code $?\"\n{printed}"),
        ),
    ] {
        let block = Block {
            section: section.to_owned(),
            place: query.place.clone(),
            language: language.to_owned(),
            text,
            shown: None,
        };
        reader.read(&block, &async || {}).await;
    }
}

fn block_of<'p>(page: &'p Page, section: &str, is_it: impl Fn(&Block) -> bool) -> &'p Block {
    let mut blocks = page.blocks.iter();
    blocks
        .find(|block| block.section == section && is_it(block))
        .unwrap_or_else(|| panic!("{section:?} has no such block"))
}

/// As it stands there.
pub fn unchanged(query: &str) -> String {
    query.to_owned()
}

/// What the commands print then.
pub const ALL_WRITTEN: &str = "100 messages written in …";

/// Imports as the page says, by a file, by a pipe, and again; every message counts once.
pub async fn import(section: &str, old: &str) -> Session {
    let new = Cluster::shared().create_store().await;
    follow_page(section, (old, By::File, &new), unchanged, ALL_WRITTEN).await;
    let session = new.connect().await;
    let all = session.value(IMPORTED).await;

    let other = Cluster::shared().create_store().await;
    follow_page(section, (old, By::Pipe, &other), unchanged, ALL_WRITTEN).await;
    assert_eq!(other.connect().await.value(IMPORTED).await, all);

    let refused = "… line 1: … already exists…; nothing is written\nexit code 5";
    for by in [By::File, By::Pipe] {
        follow_page(section, (old, by, &new), unchanged, refused).await;
    }
    assert_eq!(session.value(IMPORTED).await, all);
    assert_eq!(session.bigint(OUT_OF_STEP).await, 0, "positions have gaps");
    count_by_a_subscription(&session).await;
    session
}

/// All of a message that does not belong to one store.
pub const IMPORTED: &str = "SELECT string_agg(concat_ws('|', id, stream_name, type, position,
         coalesce(data::text, 'NULL'), coalesce(metadata::text, 'NULL')), E'\\n'
         ORDER BY global_position) FROM message_store.messages";

/// Messages whose position is not the number of those before it in its stream.
const OUT_OF_STEP: &str = "SELECT count(*) FROM (
     SELECT position, row_number() OVER (PARTITION BY stream_name ORDER BY global_position) - 1 AS before
     FROM message_store.messages) m
   WHERE position <> before";

async fn count_by_a_subscription(session: &Session) {
    session
        .run(
            "CREATE TABLE public.counted (id uuid PRIMARY KEY, stream_name varchar);
             CREATE FUNCTION public.count_message(message message_store.message) RETURNS void
             LANGUAGE sql AS $$ INSERT INTO public.counted VALUES (message.id::uuid, message.stream_name) $$;
             SELECT message_store.create_subscription('aggregators:all', '$all',
               (SELECT jsonb_object_agg(type, 'public.count_message') FROM message_store.messages),
               '{\"read_model\": [\"public.counted\"]}');
             SELECT message_store.tick('aggregators:all')",
        )
        .await
        .unwrap();
    let counted =
        "SELECT count(*) FROM public.counted JOIN message_store.messages USING (stream_name)
                   WHERE messages.id = counted.id";
    assert_eq!(session.bigint(counted).await, 100);
}

/// How many messages there are.
pub async fn count(database: &Database<'_>) -> i64 {
    let session = database.connect().await;
    session
        .bigint("SELECT count(*) FROM message_store.messages")
        .await
}
