//! Batches beside other writers of their streams.

use super::{BROKEN_STREAMS, element, store, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_over_the_same_streams_in_opposite_order_never_deadlock() {
    // More streams than a batch locks at a time, and fewer.
    for (streams, rounds) in [(20, 150), (150, 40)] {
        let (database, admin) = store().await;
        let mut writers = Vec::new();
        for backwards in [false, true, false, true] {
            let session = database.connect().await;
            writers.push(tokio::spawn(async move {
                let mut batch: Vec<String> = (0..streams)
                    .map(|stream| element(&format!("thing-{stream}"), "T", None, None))
                    .collect();
                if backwards {
                    batch.reverse();
                }
                let statement = write(&batch, "error");
                for round in 0..rounds {
                    let end = if round % 7 == 6 { "ROLLBACK" } else { "COMMIT" };
                    session.run("BEGIN").await.unwrap();
                    session.run(&statement).await.unwrap();
                    session.run(end).await.unwrap();
                }
            }));
        }
        for writer in writers {
            writer.await.unwrap();
        }
        assert_eq!(admin.bigint(BROKEN_STREAMS).await, 0);
        let kept = rounds - rounds / 7;
        let count = "SELECT count(*) FROM message_store.messages";
        assert_eq!(admin.bigint(count).await, 4 * kept * streams);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_writes_and_batches_share_streams_without_a_hole() {
    let (database, admin) = store().await;
    let mut writers = Vec::new();
    for number in 0..4 {
        let session = database.connect().await;
        writers.push(tokio::spawn(async move {
            let batch: Vec<String> = (0..100)
                .map(|stream| element(&format!("thing-{}", stream * 37 % 100), "T", None, None))
                .collect();
            let batch = write(&batch, "error");
            for round in 0..100 {
                let single = format!(
                    "SELECT message_store.write_message(gen_random_uuid()::varchar, \
                     'thing-{}', 'S', '{{}}')",
                    (round * 13 + number * 29) % 100
                );
                let statement = if number % 2 == 0 { &batch } else { &single };
                session.run(statement).await.unwrap();
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(admin.bigint(BROKEN_STREAMS).await, 0);
    let count = "SELECT count(*) FROM message_store.messages";
    assert_eq!(admin.bigint(count).await, 2 * 100 * 100 + 2 * 100);
}
