//! The shop that the pages for administrators tell of: its read model says how many items an order has.

use promises::{Cluster, Database, Session};

/// The read model of the page: how many items an order has.
pub const ORDERS: &str = "
    CREATE TABLE public.orders (number varchar PRIMARY KEY, items bigint NOT NULL);
    CREATE FUNCTION public.count_items(message message_store.message) RETURNS void LANGUAGE sql AS $$
      INSERT INTO orders
      VALUES (message_store.id(message.stream_name), (message.data::jsonb ->> 'items')::bigint)
      ON CONFLICT (number) DO UPDATE SET items = orders.items + excluded.items
    $$;
    GRANT SELECT, INSERT, UPDATE, DELETE ON public.orders TO message_store";

/// A store with orders in it.
pub async fn create_shop(cluster: &Cluster) -> (Database<'_>, Session) {
    let database = cluster.create_store().await;
    let session = database.connect().await;
    session.run(ORDERS).await.unwrap();
    (database, session)
}

/// The same, with the subscription, started.
pub async fn open_shop<'a>(cluster: &'a Cluster, options: &str) -> (Database<'a>, Session) {
    let (database, session) = create_shop(cluster).await;
    let subscriber = database.connect_as("message_store").await;
    subscriber
        .run(&format!(
            r#"SELECT message_store.create_subscription('aggregators:orders', 'order',
                 '{{"Ordered": "count_items"}}', '{{"read_model": ["orders"]{options}}}');
               SELECT message_store.start('aggregators:orders')"#
        ))
        .await
        .unwrap();
    (database, session)
}

/// Somebody orders so many items, which may be no number.
pub async fn order(session: &Session, number: &str, items: &str) {
    let write = format!(
        "SELECT message_store.write_message(gen_random_uuid()::varchar, 'order-{number}', 'Ordered', \
         '{{\"items\": {items}}}')"
    );
    session.run(&write).await.unwrap();
}

/// Waits until the order has so many items.
pub async fn wait_for_items(session: &Session, number: &str, items: i64) {
    let counted = format!(
        "SELECT EXISTS (SELECT FROM public.orders WHERE number = '{number}' AND items = {items})"
    );
    session.wait_until(&counted).await;
}

/// Gives a database of a cluster of its own, in which nobody is any more, the name that the pages say.
pub async fn name_shop(mut database: Database<'_>) -> Database<'_> {
    let admin = database.cluster.connect("postgres", "postgres").await;
    let name = &database.name;
    let is_left =
        format!("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = '{name}')");
    admin.wait_until(&is_left).await;
    let rename = format!("ALTER DATABASE {name} RENAME TO shop");
    admin.run(&rename).await.unwrap();
    database.name = "shop".to_owned();
    database
}
