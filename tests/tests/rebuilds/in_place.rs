//! Emptied, and made again from the first message.

use super::{require_right_pages, view, with_aggregators};
use crate::subscriber::{
    create_with, seen, texts, tick, tick_to_the_end, with_recorders, write_data,
};
use promises::Cluster;

#[tokio::test]
async fn in_place_everything_is_emptied_and_comes_again() {
    let (_database, session) = with_aggregators().await;
    view(&session, 50).await;
    tick_to_the_end(&session, "home").await;
    tick_to_the_end(&session, "most").await;
    require_right_pages(&session).await;
    session
        .run(
            "INSERT INTO message_store.read_model_pages VALUES ('other', '{\"mine\": 1}');
             UPDATE message_store.read_model_pages
               SET page_data = page_data || '{\"videosWatched\": 7}' WHERE page_name = 'home';
             INSERT INTO message_store.video_views VALUES ('invented', 99);
             SELECT message_store.rebuild('home'), message_store.rebuild('most')",
        )
        .await
        .unwrap();
    let emptied = "SELECT page_data FROM message_store.read_model_pages ORDER BY page_name";
    assert_eq!(
        texts(&session, emptied).await,
        [
            "{\"videosWatched\": 0, \"lastViewProcessed\": 0}",
            "{\"recent\": [], \"videos\": []}",
            "{\"mine\": 1}"
        ],
        "init has run, and nobody else's rows are gone"
    );
    let views = "SELECT count(*) FROM message_store.video_views";
    assert_eq!(session.bigint(views).await, 0);
    // How far it is can be asked.
    tick(&session, "home", 20).await;
    let progress = "SELECT position, replay_target, lag FROM message_store.subscription_status \
                    WHERE subscriber_id = 'home'";
    assert_eq!(texts(&session, progress).await, ["20 50 30"]);
    tick_to_the_end(&session, "home").await;
    tick_to_the_end(&session, "most").await;
    require_right_pages(&session).await;
    assert_eq!(texts(&session, progress).await, ["50 - 0"]);
}

#[tokio::test]
async fn a_service_does_not_send_again_in_a_replay() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE TABLE public.answers (position bigint, answer text);
             CREATE FUNCTION public.answer(message message_store.message) RETURNS void
             LANGUAGE plpgsql AS $$
             BEGIN
               INSERT INTO answers VALUES ((message).global_position,
                 coalesce(message_store.write_message(gen_random_uuid()::varchar, 'answers-1',
                   'Answer', (message).data::jsonb)::text, 'none'));
             END $$",
        )
        .await
        .unwrap();
    let options = "{\"read_model\": [\"public.answers\"]}";
    let handlers = "{\"Question\": \"public.answer\"}";
    create_with(&session, "s", "a", handlers, options).await;
    for number in 0..3 {
        write_data(
            &session,
            "a-1",
            "Question",
            &format!("{{\"number\": {number}}}"),
        )
        .await;
    }
    tick_to_the_end(&session, "s").await;
    let answers = "SELECT data->>'number' FROM message_store.messages \
                   WHERE stream_name = 'answers-1' ORDER BY position";
    assert_eq!(texts(&session, answers).await, ["0", "1", "2"]);
    let kept = "SELECT answer FROM public.answers ORDER BY position";
    assert_eq!(texts(&session, kept).await, ["0", "1", "2"]);

    session
        .run("SELECT message_store.rebuild('s')")
        .await
        .unwrap();
    write_data(&session, "a-1", "Question", "{\"number\": 3}").await;
    tick_to_the_end(&session, "s").await;
    assert_eq!(texts(&session, answers).await, ["0", "1", "2", "3"]);
    assert_eq!(texts(&session, kept).await, ["none", "none", "none", "3"]);

    for look in [
        "SELECT message_store.rebuild('s', true)",
        "SELECT message_store.tick('s#rebuild')",
        "SELECT message_store.promote('s')",
        "SELECT message_store.verify('s')",
    ] {
        session.run(look).await.unwrap();
    }
    assert_eq!(texts(&session, answers).await, ["0", "1", "2", "3"]);
    assert_eq!(seen(&session, "s").await, [0; 0]);
}

#[tokio::test]
async fn tables_with_foreign_keys_between_them_are_emptied_together() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE TABLE public.parents (id bigint PRIMARY KEY);
             CREATE TABLE public.children (id bigint REFERENCES parents);
             CREATE FUNCTION public.add(bigint) RETURNS void LANGUAGE sql AS
               'INSERT INTO parents VALUES ($1); INSERT INTO children VALUES ($1)'",
        )
        .await
        .unwrap();
    let options = "{\"read_model\": [\"parents\", \"children\"]}";
    create_with(&session, "v", "viewings", "{\"$any\": \"add\"}", options).await;
    session
        .run("SELECT message_store.start('v')")
        .await
        .unwrap();
    view(&session, 3).await;
    tick_to_the_end(&session, "v").await;
    session
        .run("SELECT message_store.rebuild('v')")
        .await
        .unwrap();
    let children = "SELECT count(*) FROM public.children";
    assert_eq!(session.bigint(children).await, 0);
    tick_to_the_end(&session, "v").await;
    assert_eq!(session.bigint(children).await, 3);
}
