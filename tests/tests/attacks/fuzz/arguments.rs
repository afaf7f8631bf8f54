//! Arguments for every type of the schema: some that can be meant, some at the ends of their types,
//! some that nobody means. Those that can be meant come first, and more often.

use promises::{Random, Session};

const STREAMS: &[&str] = &[
    "'fuzz-1'",
    "'fuzz-2'",
    "'viewings-1'",
    "'fuzz'",
    "'viewings'",
    "'new-' || (random() * 50)::int",
    "''",
    "'-'",
    "NULL",
    "repeat('x', 2601)",
    r"E'line\nbreak-1'",
    "'a:b+c-d+e'",
];
const SUBSCRIBERS: &[&str] = &[
    "'of:m'",
    "'of:n'",
    "'of:su'",
    "'fetched:m'",
    "'group:m'",
    "'of:m#rebuild'",
    "'new:' || (random() * 20)::int",
    "''",
    "NULL",
    r"E'\x01\n'",
    "repeat('x', 1025)",
];
const NUMBERS: &[&str] = &[
    "1",
    "0",
    "2",
    "3",
    "10",
    "1000",
    "-1",
    "NULL",
    "9223372036854775807",
    "'-9223372036854775808'",
    "2147483648",
    "-2",
];
const CONDITIONS: &[&str] = &[
    "NULL",
    "'true'",
    "'type = ''T'' '",
    "'position > 0'",
    "'(SELECT count(*) FROM message_store.messages) > 0'",
    "'true -- so'",
    "'(message_store.tick(''of:m'')).scanned > 0'",
    "'message_store.write_message(gen_random_uuid()::varchar, ''cond-1'', ''T'', NULL) > 0'",
    "'true) OR (true'",
    "'true; SELECT 1'",
    "'/*'",
    "$c$ $x$ $c$",
    "'true UNION SELECT 1'",
    "'x.*'",
    "repeat('(', 3000) || 'true' || repeat(')', 3000)",
    "'1'",
    "'$9 > 1'",
];
const HANDLERS: &[&str] = &[
    r#"'{"$any": "fuzz.handle"}'"#,
    r#"'{"T": "fuzz.handle_run"}'"#,
    "'{}'",
    r#"'{"T": "fuzz.handle(message_store.message)"}'"#,
    r#"'{"T": "no.such"}'"#,
    "'[]'",
    r#"'{"": "x"}'"#,
    "NULL",
];
const OPTIONS: &[&str] = &[
    "'{}'",
    r#"'{"retries": 0, "on_failure": "park"}'"#,
    r#"'{"batch_size": 3}'"#,
    r#"'{"order": "per_handler"}'"#,
    r#"'{"start_from": "now"}'"#,
    r#"'{"read_model": ["fuzz.pages"]}'"#,
    r#"'{"read_model": [{"table": "fuzz.pages", "where": "n > 0"}]}'"#,
    r#"'{"settings": {"timezone": "Asia/Tokyo", "statement_timeout": "1s"}}'"#,
    r#"'{"types": ["T"], "correlation": "fuzz"}'"#,
    r#"'{"read_model": [{"table": "fuzz.pages", "where": "true) OR (true"}]}'"#,
    r#"'{"settings": {"role": "postgres"}}'"#,
    r#"'{"start_from": "yesterday"}'"#,
    r#"'{"group_size": 300}'"#,
    r#"'{"retry_delay": "-1 s"}'"#,
    "NULL",
];
const JSON: &[&str] = &[
    "'{}'",
    r#"'{"n": 1}'"#,
    r#"'{"videoId": "7"}'"#,
    r#"'{"correlationStreamName": "fuzz-1"}'"#,
    "'null'",
    "'[]'",
    r#"'"x"'"#,
    "'1e400'",
    "NULL",
    "(repeat('[', 900) || repeat(']', 900))::jsonb",
    "jsonb_build_object('a', repeat('x', 9000))",
    r#"'{"correlationStreamName": 7}'"#,
];
const BATCHES: &[&str] = &[
    r#"'[{"type": "T"}]'"#,
    r#"'[{"type": "T", "data": {"n": 1}}, {"type": "U", "metadata": {}}]'"#,
    "'[]'",
    "'[1]'",
    "'{}'",
    r#"'[{"type": "T", "x": 1}]'"#,
    "NULL",
];
const NEW_MESSAGES: &[&str] = &[
    "ARRAY[ROW('fuzz-1', 'T', '{}', NULL, NULL, NULL)]::message_store.new_message[]",
    "ARRAY[ROW('fuzz-3', 'T', '{}', NULL, NULL, NULL), ROW('fuzz-4', 'U', NULL, '{}', NULL, NULL)]::message_store.new_message[]",
    "ARRAY[ROW('fuzz-1', 'T', '{}', NULL, NULL, 7)]::message_store.new_message[]",
    "'{}'::message_store.new_message[]",
    "ARRAY[NULL]::message_store.new_message[]",
    "NULL::message_store.new_message[]",
    "ARRAY[ARRAY[ROW('a-1', 'T', NULL, NULL, NULL, NULL)]]::message_store.new_message[]",
    "ARRAY[ROW('a-1', repeat('T', 3000), NULL, NULL, 'x', NULL)]::message_store.new_message[]",
];
const MESSAGES: &[&str] = &[
    "ROW('00000000-0000-4000-8000-000000000000', 'fuzz-1', 'T', 0, 1, '{}', NULL, now()::timestamp)::message_store.message",
    "(SELECT m FROM message_store.get_stream_messages('viewings-1') m LIMIT 1)",
    "ROW(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::message_store.message",
    "NULL::message_store.message",
    "ROW('x', 'y', 'z', -1, -1, 'no json', 'no json', 'infinity')::message_store.message",
];
const RUNS: &[&str] = &[
    "(SELECT array_agg(m) FROM message_store.get_category_messages('viewings') m)",
    "'{}'",
    "'{NULL}'",
    "NULL",
];
const POSITIONS: &[&str] = &[
    "'{1,2}'",
    "'{3,2,1}'",
    "'{}'",
    "'{NULL}'",
    "NULL",
    "'{{1,2},{3,4}}'",
    "'[5:6]={1,2}'",
];
const TEXTS: &[&str] = &[
    "'because'",
    "'x'",
    "''",
    "NULL",
    "repeat('y', 9000)",
    r"E'\x1b[31m'",
];
const INTERVALS: &[&str] = &[
    "'1 ms'",
    "'5 ms'",
    "'0'",
    "'-1 s'",
    "NULL",
    "'178000000 years'",
    "'1 month'",
];
const WAITS: &[&str] = &["'1 ms'", "'2 ms'", "'0'", "'-1 s'", "'-178000000 years'"];
const IDS: &[&str] = &[
    "gen_random_uuid()::varchar",
    "gen_random_uuid()",
    "NULL",
    "'x'",
    "'00000000-0000-4000-8000-000000000001'",
];

/// A function of the schema.
pub struct Function {
    /// Its name.
    pub name: String,
    /// Whether it is called rather than selected.
    pub is_procedure: bool,
    types: Vec<String>,
    names: Vec<String>,
    /// How many may be left out at the end.
    defaults: i64,
}

impl Function {
    /// All of the schema.
    pub async fn all(admin: &Session) -> Vec<Self> {
        let rows = admin
            .run(
                "SELECT proname, prokind = 'p', pronargdefaults,
                   (SELECT string_agg(format_type(t, NULL), ',' ORDER BY n)
                    FROM unnest(proargtypes) WITH ORDINALITY AS a (t, n)),
                   array_to_string(proargnames, ',')
                 FROM pg_proc WHERE pronamespace = 'message_store'::regnamespace
                 ORDER BY oid::regprocedure::text",
            )
            .await
            .unwrap();
        let list = |text: &Option<String>| -> Vec<String> {
            let parts = text.as_deref().unwrap_or_default().split(',');
            parts
                .filter(|one| !one.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let functions = rows.iter().map(|row| Self {
            name: row[0].clone().unwrap(),
            is_procedure: row[1].as_deref() == Some("t"),
            defaults: row[2].as_deref().unwrap().parse().unwrap(),
            types: list(&row[3]),
            names: list(&row[4]),
        });
        let functions: Vec<Self> = functions.collect();
        assert!(functions.len() > 45);
        functions
    }

    /// A call's arguments, as they stand in SQL.
    pub fn arguments(&self, random: &mut Random) -> String {
        let left_out = usize::try_from(random.below(self.defaults + 1)).unwrap();
        let given = 0..self.types.len() - left_out;
        let arguments: Vec<String> = given.map(|number| self.argument(number, random)).collect();
        arguments.join(", ")
    }

    fn argument(&self, number: usize, random: &mut Random) -> String {
        let type_name = self.types[number].as_str();
        let name = self.names.get(number).map_or("", String::as_str);
        let values = match (type_name, name) {
            ("character varying", "subscriber_id") => SUBSCRIBERS,
            ("character varying", "condition") => CONDITIONS,
            ("character varying", "id") => IDS,
            ("character varying", "on_duplicate") => &["'error'", "'ignore'", "'x'", "NULL"],
            ("character varying", "reason") | ("text", _) => TEXTS,
            ("character varying", "type") => &["'T'", "'U'", "'VideoViewed'", "''", "NULL"],
            ("character varying", _) => STREAMS,
            ("bigint", _) => NUMBERS,
            ("bigint[]", _) => POSITIONS,
            ("jsonb", "handlers") => HANDLERS,
            ("jsonb", "options") => OPTIONS,
            ("jsonb", "messages") => BATCHES,
            ("jsonb", _) => JSON,
            ("boolean", _) => &["true", "false", "NULL"],
            ("interval", "timeout") => WAITS,
            ("interval", _) => INTERVALS,
            ("message_store.message", _) => MESSAGES,
            ("message_store.message[]", _) => RUNS,
            ("message_store.new_message[]", _) => NEW_MESSAGES,
            (other, _) => panic!("values for arguments of type {other} are missing here"),
        };
        let half = &values[..values.len().div_ceil(2)];
        let among = if random.below(2) == 0 { half } else { values };
        format!("{}::{type_name}", one_of(among, random))
    }
}

/// Any element.
pub fn one_of<'a, T>(among: &'a [T], random: &mut Random) -> &'a T {
    let number = random.below(i64::try_from(among.len()).unwrap());
    &among[usize::try_from(number).unwrap()]
}
