SELECT handled FROM message_store.tick('counter', 1000);
